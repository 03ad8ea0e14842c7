// The host's clock, for what is measured and bounded. Nothing of the guest's ever depends on it.

/** Milliseconds since some time. Node loads `performance` when it is first asked for, three milliseconds of a run. */
export function hostMilliseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
