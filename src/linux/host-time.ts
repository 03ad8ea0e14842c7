// A stopwatch over what the host does for the guest: one thing at a time, so that the parts add up to the whole.

import { hostMilliseconds } from '../engine/host-clock.ts';

/** `evaluating` and `compiled` execute the guest; `kernel` serves it; `other` is neither: interrupts that we inject, and what surrounds a run. */
export type HostActivity = 'evaluating' | 'compiled' | 'kernel' | 'other';

export class HostTimes {
  readonly #spent: Record<HostActivity, number> = { evaluating: 0, compiled: 0, kernel: 0, other: 0 };
  #doing: HostActivity = 'other';
  #since = hostMilliseconds();

  /** From now on the host does this. Returns what it did until now. */
  enter(activity: HostActivity): HostActivity {
    const now = hostMilliseconds();
    const before = this.#doing;
    this.#spent[before] += now - this.#since;
    this.#doing = activity;
    this.#since = now;
    return before;
  }

  /** Milliseconds spent so far. */
  get milliseconds(): Readonly<Record<HostActivity, number>> {
    this.enter(this.#doing);
    return { ...this.#spent };
  }
}
