// Readiness: the event bits, and the object on which tasks and epoll sets wait for a change.

import type { EpollItem } from './epoll.ts';

/** Event bits of poll(2) and epoll(7); the same on the three ABIs (POLLWRNORM differs on MIPS, and is translated at the calls). */
export const POLLIN = 0x001;
export const POLLPRI = 0x002;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLNVAL = 0x020;
export const POLLRDNORM = 0x040;
export const POLLRDBAND = 0x080;
export const POLLWRNORM = 0x100;
export const POLLWRBAND = 0x200;
export const POLLRDHUP = 0x2000;

export const READABLE = POLLIN | POLLRDNORM;
export const WRITABLE = POLLOUT | POLLWRNORM;

/** Something whose readiness changes: the end of a pipe, a socket, a counter. */
export interface Pollable {
  /** What tasks wait for: see `Wait` of call.ts. */
  readonly key: string;
  /** Who watches, in order of registration. */
  readonly items: EpollItem[];
}

export function pollable(key: string): Pollable {
  return { key, items: [] };
}
