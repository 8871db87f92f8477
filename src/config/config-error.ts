/**
 * A request that cannot be carried out as it stands: an unknown, malformed or contradictory option, or an argument
 * that is not what it should be. The message is one line for the user: where, what was expected, what was got.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** `value` as it is shown after "got": quoted when text, so that empty and blank values can be seen. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return 'a date';
  return typeof value === 'object' && value !== null ? 'a table' : String(value);
}
