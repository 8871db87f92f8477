/** Invariants. A failed assertion is a bug in Sluice, never a fault of the input. */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(`invariant violated: ${message}`);
}

/** The `default` of a switch over a union: does not compile when a member is not handled. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}

/** `value` as an Error, for `catch` clauses: anything may be thrown. */
export function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
