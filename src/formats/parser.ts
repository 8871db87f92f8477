/**
 * What the parsers of the formats have in common: safetensors.ts, gguf.ts and zip.ts, each a generator that recognise.ts
 * drives. It gets the first bytes of an object, yields what it wants to look at next and the plan so far, is handed
 * those bytes, and returns the plan that stays: undefined when the object is not of its format after all.
 *
 * A parser believes no length or offset that it has not compared with the object's size, and throws nothing.
 */
import type { ByteRange } from '../runtime/range.js';
import type { LoadPlan } from './load-plan.js';

export interface FormatLook {
  /** Not empty, and within the object. */
  readonly wants: ByteRange;
  readonly plan: LoadPlan;
}

export type FormatParser = Generator<FormatLook, LoadPlan | undefined, Uint8Array>;

/**
 * The first look: one page of the kernel, the least that any reader of the object's beginning brings here. It tells
 * the three formats apart, and whole headers of small models fit.
 */
export const HEAD_BYTES = 4096;

/**
 * All looks at one object together. Headers of the largest public models have 5–10 MB (gguf with its tokens,
 * safetensors with a name per expert); one beyond this is read as any other file is.
 */
export const LOOK_BYTES_MAX = 16 * 1024 * 1024;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A little-endian 64-bit count or offset; above 2⁵³ inexact, which no comparison with a size takes for small. */
export function readUint64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}

export function isEmpty({ start, end }: ByteRange): boolean {
  return start >= end;
}
