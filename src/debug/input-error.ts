// What a caller got wrong.

/** An input or option that a session cannot be made of. The message is one line: what is wrong; what to try. */
export class InputError extends Error {
  override readonly name = 'InputError';
}
