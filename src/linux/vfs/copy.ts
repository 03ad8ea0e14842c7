// Copies a graph of plain data: how file-system state is saved and restored.

import { Pages } from './content.ts';

/**
 * A copy of everything reachable from `root`: plain objects, arrays, Maps and Sets, with their sharing and cycles. Byte arrays are
 * shared: the state replaces them and never writes into them; the pages of files are shared until they change. Anything else (a class instance, a function) is a mistake, and throws.
 */
export function copyGraph<T>(root: T): T {
  const seen = new Map<object, object>();
  const pending: (() => void)[] = [];
  const copy = (value: unknown): unknown => {
    if (typeof value === 'function') throw new TypeError('a function cannot be part of saved state');
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Uint8Array) return value;
    const known = seen.get(value);
    if (known !== undefined) return known;
    if (value instanceof Pages) {
      const out = value.copy();
      seen.set(value, out);
      return out;
    }
    // The parts are copied later, from a list: chains (directories, queues) may be longer than the host's stack is deep.
    if (Array.isArray(value)) {
      const out: unknown[] = [];
      seen.set(value, out);
      pending.push(() => {
        for (const item of value as unknown[]) out.push(copy(item));
      });
      return out;
    }
    if (value instanceof Map) {
      const out = new Map<unknown, unknown>();
      seen.set(value, out);
      pending.push(() => {
        for (const [key, item] of value as Map<unknown, unknown>) out.set(copy(key), copy(item));
      });
      return out;
    }
    if (value instanceof Set) {
      const out = new Set<unknown>();
      seen.set(value, out);
      pending.push(() => {
        for (const item of value as Set<unknown>) out.add(copy(item));
      });
      return out;
    }
    if (Object.getPrototypeOf(value) !== Object.prototype)
      throw new TypeError(`a ${value.constructor.name} cannot be part of saved state`);
    const out: Record<string, unknown> = {};
    seen.set(value, out);
    pending.push(() => {
      // The prototype is plain, so that there is nothing to inherit.
      for (const key in value) out[key] = copy((value as Record<string, unknown>)[key]);
    });
    return out;
  };
  const result = copy(root);
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) step();
  return result as T;
}
