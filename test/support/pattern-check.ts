/** Asserts that bytes are those of a pattern, and says where the first wrong one is. */
import type { Test } from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';

export function assertPattern(t: Test, bytes: Uint8Array, seed: number, offset: number, what: string): void {
  t.equal(findPatternMismatch(bytes, seed, offset), -1, `${what}: every byte is the object's`);
}
