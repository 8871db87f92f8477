/**
 * Patterns of keys, as a shell has them: `*` and `?` stay within a part of the path, `**` does not; `[a-z]`, `{a,b}`; a
 * backslash takes a character as it stands. Names that begin with a dot are names like all others. The only importer of
 * picomatch.
 */
import picomatch from 'picomatch';

/** Has a character that means something else than itself in a pattern. */
export function isGlob(text: string): boolean {
  return /[*?[{]/.test(text);
}

/** What every match begins with. */
export function globBase(pattern: string): string {
  return /^[^*?[\]{}()!+@|\\]*/.exec(pattern)?.[0] ?? '';
}

export function globMatcher(pattern: string): (text: string) => boolean {
  // Parentheses mean nothing else here, as in names such as `model (1).bin`.
  const plain = pattern.replaceAll(/(?<!\\)[()|]/g, String.raw`\$&`);
  return picomatch(plain, { dot: true, nonegate: true, noextglob: true });
}
