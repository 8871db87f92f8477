/**
 * What the content of a file says of how it will be read: which bytes a loader of its format wants before all others,
 * and where a read means that loading has begun. Made by recognise.ts, used by download/ to fetch ahead. Only ever a
 * hint: a file that merely looks like one of the formats is fetched in another order, and read right all the same.
 */
import type { ByteRange } from '../runtime/range.js';

export interface LoadPlan {
  readonly format: 'safetensors' | 'gguf' | 'zip';
  /** To be fetched as soon as the format is known, in this order: the rest of a header, the directory of a zip. */
  readonly first: readonly ByteRange[];
  /**
   * A read that begins here or further on, outside `first`, is the beginning of a load: the rest follows, in the order
   * of the file. The object's size while no read is known to tell.
   */
  readonly dataStart: number;
}

/** Finds the plan of one object, looking at a piece of it at a time. Pure; never throws, whatever the bytes are. */
export interface FormatProbe {
  /** The bytes to look at next, at most 16 MiB; undefined when there is nothing to find out any more. */
  readonly wants: ByteRange | undefined;
  /** Known so far; it may grow with each look, and stays when `wants` is undefined. */
  readonly plan: LoadPlan | undefined;
  /** @param bytes of `wants`, all of them */
  look(bytes: Uint8Array): void;
}
