// Looking for something in what is in order.

/** The first of `count` indexes from which on something holds; `count` where it holds of none. */
export function firstOf(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
