// epoll: interest lists and ready lists, as fs/eventpoll.c keeps them.
//
// A change of readiness puts the item at the tail of the ready list; epoll_wait takes items from its head and asks each file
// again. A level-triggered item that was reported goes back to the tail, an edge-triggered one waits for the next change. So the
// order in which events come out is the order in which they happened.

import { CallError } from '../abi/errno.ts';
import type { OpenFile } from './file.ts';
import { POLLERR, POLLHUP, type Pollable, pollable, READABLE } from './pollable.ts';

export const EPOLLWAKEUP = 0x2000_0000;
export const EPOLLONESHOT = 0x4000_0000;
export const EPOLLET = 0x8000_0000;
export const EPOLLEXCLUSIVE = 0x1000_0000;
/** Bits that say how to report, not what. */
const PRIVATE_BITS = (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE) >>> 0;
/** Sets may watch sets to this depth (EP_MAX_NESTS). */
const MAX_NESTS = 4;

export interface EpollItem {
  readonly epoll: Epoll;
  readonly file: OpenFile;
  readonly fd: number;
  events: number;
  data: bigint;
  ready: boolean;
}

export interface Epoll {
  /** By descriptor number; more than one where the number was reused while another descriptor kept the file open. */
  readonly items: Map<number, EpollItem[]>;
  ready: EpollItem[];
  readonly wait: Pollable;
}

export function makeEpoll(id: number): Epoll {
  return { items: new Map(), ready: [], wait: pollable(`epoll:${id}`) };
}

/** Wakes the tasks that wait for a key. */
export type Wake = (key: string) => void;

/** Something has become ready: tells the sets that watch it, then the tasks that wait. (ep_poll_callback) */
export function notify(target: Pollable, events: number, wake: Wake): void {
  for (const item of target.items) {
    const wanted = item.events & ~PRIVATE_BITS;
    if (wanted === 0 || (events & (item.events | POLLERR | POLLHUP)) === 0) continue;
    markReady(item, wake);
  }
  wake(target.key);
}

function markReady(item: EpollItem, wake: Wake): void {
  if (!item.ready) {
    item.ready = true;
    item.epoll.ready.push(item);
  }
  notify(item.epoll.wait, READABLE, wake);
}

type Poll = (file: OpenFile) => number;

function find(epoll: Epoll, file: OpenFile, fd: number): EpollItem | undefined {
  return epoll.items.get(fd)?.find((item) => item.file === file);
}

function remind(item: EpollItem, poll: Poll, wake: Wake): void {
  if ((poll(item.file) & item.events) !== 0) markReady(item, wake);
}

function reaches(from: Epoll, target: Epoll, depth: number): boolean {
  if (from === target || depth > MAX_NESTS) return true;
  for (const items of from.items.values()) {
    for (const { file } of items) if (file.kind === 'epoll' && reaches(file.epoll, target, depth + 1)) return true;
  }
  return false;
}

/** EPOLL_CTL_ADD. @throws CallError EEXIST, EPERM (the file cannot be waited for), ELOOP */
export function epollAdd(
  epoll: Epoll,
  file: OpenFile,
  fd: number,
  events: number,
  data: bigint,
  poll: Poll,
  wake: Wake,
): void {
  if (file.wait === undefined) throw new CallError('EPERM');
  if (file.kind === 'epoll' && reaches(file.epoll, epoll, 1)) throw new CallError('ELOOP');
  if (find(epoll, file, fd) !== undefined) throw new CallError('EEXIST');
  const item: EpollItem = { epoll, file, fd, events: (events | POLLERR | POLLHUP) >>> 0, data, ready: false };
  const same = epoll.items.get(fd);
  if (same === undefined) epoll.items.set(fd, [item]);
  else same.push(item);
  file.wait.items.push(item);
  remind(item, poll, wake);
}

/** EPOLL_CTL_MOD. @throws CallError ENOENT */
export function epollModify(
  epoll: Epoll,
  file: OpenFile,
  fd: number,
  events: number,
  data: bigint,
  poll: Poll,
  wake: Wake,
): void {
  const item = find(epoll, file, fd);
  if (item === undefined) throw new CallError('ENOENT');
  item.events = (events | POLLERR | POLLHUP) >>> 0;
  item.data = data;
  remind(item, poll, wake);
}

/** EPOLL_CTL_DEL. @throws CallError ENOENT */
export function epollDelete(epoll: Epoll, file: OpenFile, fd: number): void {
  const item = find(epoll, file, fd);
  if (item === undefined) throw new CallError('ENOENT');
  drop(item);
}

function drop(item: EpollItem): void {
  const { epoll } = item;
  const same = epoll.items.get(item.fd)!;
  same.splice(same.indexOf(item), 1);
  if (same.length === 0) epoll.items.delete(item.fd);
  if (item.ready) epoll.ready.splice(epoll.ready.indexOf(item), 1);
  const watchers = item.file.wait!.items;
  watchers.splice(watchers.indexOf(item), 1);
}

/** The last descriptor of a file is closed: no set watches it any more. (eventpoll_release) */
export function forgetFile(file: OpenFile): void {
  if (file.wait === undefined) return;
  for (const item of file.wait.items.filter((each) => each.file === file)) drop(item);
}

/** A set is closed. (ep_free) */
export function releaseEpoll(epoll: Epoll): void {
  for (const item of [...epoll.items.values()].flat()) drop(item);
}

export interface EpollEvent {
  readonly events: number;
  readonly data: bigint;
}

/** Takes at most `max` events. (ep_send_events) */
export function epollCollect(epoll: Epoll, max: number, poll: Poll): EpollEvent[] {
  const out: EpollEvent[] = [];
  const looked = epoll.ready;
  const again: EpollItem[] = [];
  let index = 0;
  for (; index < looked.length && out.length < max; index++) {
    const item = looked[index]!;
    const events = (poll(item.file) & item.events & ~PRIVATE_BITS) >>> 0;
    item.ready = false;
    if (events === 0) continue;
    out.push({ events, data: item.data });
    if ((item.events & EPOLLONESHOT) !== 0) item.events = (item.events & PRIVATE_BITS) >>> 0;
    else if ((item.events & EPOLLET) === 0) {
      item.ready = true;
      again.push(item);
    }
  }
  epoll.ready = [...looked.slice(index), ...again];
  return out;
}

/** Whether epoll_wait would return something; drops items that turned out not to be ready. (ep_eventpoll_poll) */
export function epollReady(epoll: Epoll, poll: Poll): boolean {
  for (let item = epoll.ready[0]; item !== undefined; item = epoll.ready[0]) {
    if ((poll(item.file) & item.events & ~PRIVATE_BITS) !== 0) return true;
    item.ready = false;
    epoll.ready.shift();
  }
  return false;
}
