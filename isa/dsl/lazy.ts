// Values that are made when they are first wanted: a description of hundreds of rows is read only where its target is.

/** @returns what `make` makes, the same each time */
export function lazy<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
