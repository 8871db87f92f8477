/**
 * gguf, versions 1 to 3, little-endian: magic, version, counts, key-value pairs (among them every token of the
 * vocabulary: several MB), one record for each tensor, then, aligned, the tensors. Loaders read the header through and
 * then map the rest or read it in order.
 *
 * How long the header is shows only at its end: it is walked piece by piece, each as long as all before it.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import type { LoadPlan } from './load-plan.js';
import { ByteFeed } from './byte-feed.js';
import { isEmpty, LOOK_BYTES_MAX } from './parser.js';
import type { FormatParser } from './parser.js';

const MAGIC = 'GGUF';
const VERSION_MAX = 3;
const PREAMBLE_BYTES = 8;
/** The second look reaches this far: what the first request for a file brings, and whole headers without tokens. */
const SECOND_LOOK_END = 1024 * 1024;
const ALIGNMENT_KEY = 'general.alignment';
const ALIGNMENT_DEFAULT = 32;
/** ggml's own limit is 4. */
const DIMENSIONS_MAX = 8;
/** Arrays of arrays are allowed, and used by nobody. */
const NESTING_MAX = 4;

const UINT32 = 4;
const STRING = 8;
const ARRAY = 9;
/** Of the value types 0 to 12; strings and arrays have no fixed one. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8] as const;

interface Header {
  readonly dataStart: number;
}

/** Yields when more must be fed before it goes on. Undefined: this is no gguf. */
type HeaderWalk<Result> = Generator<void, Result | undefined, void>;

export function* parseGguf(head: Uint8Array, size: number): FormatParser {
  const feed = new ByteFeed(head);
  if (!feed.has(PREAMBLE_BYTES) || feed.text(MAGIC.length) !== MAGIC) return undefined;
  const version = feed.uint32();
  if (version < 1 || version > VERSION_MAX) return undefined;

  const planOf = (headerEnd: number, dataStart: number): LoadPlan => {
    const rest = { start: head.length, end: headerEnd };
    return { format: 'gguf', first: isEmpty(rest) ? [] : [rest], dataStart };
  };
  const walk = new HeaderWalker(feed, size, version).walk();
  for (let step = walk.next(); ; step = walk.next()) {
    if (step.done) return step.value && planOf(step.value.dataStart, step.value.dataStart);
    const { fedBytes } = feed;
    if (fedBytes === size) return undefined;
    // Too long to look at: no read is known to be behind it.
    if (Math.max(fedBytes, feed.position) >= LOOK_BYTES_MAX) return planOf(fedBytes, size);
    const end = Math.min(Math.max(2 * fedBytes, SECOND_LOOK_END), LOOK_BYTES_MAX, size);
    feed.push(yield { wants: { start: fedBytes, end }, plan: planOf(end, size) });
  }
}

class HeaderWalker {
  readonly #feed: ByteFeed;
  readonly #size: number;
  /** Counts and lengths have 64 bits since version 2, 32 before. */
  readonly #countBytes: 4 | 8;
  #alignment = ALIGNMENT_DEFAULT;

  constructor(feed: ByteFeed, size: number, version: number) {
    this.#feed = feed;
    this.#size = size;
    this.#countBytes = version === 1 ? 4 : 8;
  }

  *walk(): HeaderWalk<Header> {
    while (!this.#feed.has(2 * this.#countBytes)) yield;
    const tensors = this.#count();
    const pairs = this.#count();
    for (let pair = 0; pair < pairs; pair++) {
      if (!(yield* this.#pair())) return undefined;
    }
    let lastTensorStart = 0;
    for (let tensor = 0; tensor < tensors; tensor++) {
      const start = yield* this.#tensor();
      if (start === undefined) return undefined;
      lastTensorStart = Math.max(lastTensorStart, start);
    }
    const dataStart = Math.ceil(this.#feed.position / this.#alignment) * this.#alignment;
    return dataStart + lastTensorStart <= this.#size ? { dataStart } : undefined;
  }

  *#pair(): HeaderWalk<true> {
    while (!this.#feed.has(this.#countBytes)) yield;
    const keyBytes = this.#count();
    let isAlignment = false;
    if (keyBytes === ALIGNMENT_KEY.length) {
      while (!this.#feed.has(keyBytes)) yield;
      isAlignment = this.#feed.text(keyBytes) === ALIGNMENT_KEY;
    } else if (!this.#skip(keyBytes)) return undefined;

    while (!this.#feed.has(4)) yield;
    const type = this.#feed.uint32();
    if (!isAlignment) return yield* this.#value(type, 0);
    if (type !== UINT32) return undefined;
    while (!this.#feed.has(4)) yield;
    this.#alignment = this.#feed.uint32();
    return this.#alignment > 0 || undefined;
  }

  *#value(type: number, depth: number): HeaderWalk<true> {
    const bytes = VALUE_BYTES[type];
    if (bytes !== undefined) return this.#skip(bytes);
    if (type === STRING) return yield* this.#strings(1);
    if (type !== ARRAY || depth === NESTING_MAX) return undefined;

    while (!this.#feed.has(4 + this.#countBytes)) yield;
    const elementType = this.#feed.uint32();
    const elements = this.#count();
    const elementBytes = VALUE_BYTES[elementType];
    if (elementBytes !== undefined) return this.#skip(elements * elementBytes);
    if (elementType === STRING) return yield* this.#strings(elements);
    for (let element = 0; element < elements; element++) {
      if (!(yield* this.#value(elementType, depth + 1))) return undefined;
    }
    return true;
  }

  /** Vocabularies have hundreds of thousands. */
  *#strings(count: number): HeaderWalk<true> {
    for (let at = 0; at < count; at++) {
      while (!this.#feed.has(this.#countBytes)) yield;
      if (!this.#skip(this.#count())) return undefined;
    }
    return true;
  }

  /** Where the tensor's bytes begin, from the start of the data. */
  *#tensor(): HeaderWalk<number> {
    if (!(yield* this.#strings(1))) return undefined;
    while (!this.#feed.has(4)) yield;
    const dimensions = this.#feed.uint32();
    if (dimensions > DIMENSIONS_MAX) return undefined;
    // The extent of each dimension, and the type.
    if (!this.#skip(dimensions * this.#countBytes + 4)) return undefined;
    while (!this.#feed.has(8)) yield;
    return this.#feed.uint64();
  }

  #count(): number {
    return this.#countBytes === 8 ? this.#feed.uint64() : this.#feed.uint32();
  }

  /** Undefined when the object ends before. */
  #skip(bytes: number): true | undefined {
    if (bytes > this.#size - this.#feed.position) return undefined;
    this.#feed.skip(bytes);
    return true;
  }
}
