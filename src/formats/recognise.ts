/**
 * Recognises the format of an object by its content: made by download/ for each object that is read, one probe each.
 * The first bytes choose the parser, which then says what it wants to see. Promises FormatProbe's: nothing is thrown
 * whatever the bytes are, all looks together stay within LOOK_BYTES_MAX, and each lies within the object.
 */
import { assert } from '../runtime/assert.js';
import type { ByteRange } from '../runtime/range.js';
import { parseGguf } from './gguf.js';
import type { FormatProbe, LoadPlan } from './load-plan.js';
import { HEAD_BYTES, LOOK_BYTES_MAX } from './parser.js';
import type { FormatParser } from './parser.js';
import { parseSafetensors } from './safetensors.js';
import { parseZip } from './zip.js';

const PARSERS = [parseSafetensors, parseGguf, parseZip] as const;

/** @param size bytes of the object */
export function createFormatProbe(size: number): FormatProbe {
  return new ContentProbe(size);
}

class ContentProbe implements FormatProbe {
  readonly #size: number;
  #lookBytesLeft = LOOK_BYTES_MAX;
  #parser: FormatParser | undefined;
  #wants: ByteRange | undefined;
  #plan: LoadPlan | undefined;

  constructor(size: number) {
    this.#size = size;
    if (size > 0) this.#want({ start: 0, end: Math.min(size, HEAD_BYTES) });
  }

  get wants(): ByteRange | undefined {
    return this.#wants;
  }

  get plan(): LoadPlan | undefined {
    return this.#plan;
  }

  look(bytes: Uint8Array): void {
    const wanted = this.#wants;
    assert(wanted && bytes.length === wanted.end - wanted.start, `${bytes.length} bytes are what was wanted`);
    this.#wants = undefined;
    if (this.#parser) this.#advance(this.#parser, bytes);
    else this.#recognise(bytes);
  }

  #recognise(head: Uint8Array): void {
    for (const parse of PARSERS) {
      this.#advance(parse(head, this.#size), head);
      if (this.#plan) return;
    }
  }

  /** A parser that has not begun takes no bytes but those it was made with. */
  #advance(parser: FormatParser, bytes: Uint8Array): void {
    const step = parser.next(bytes);
    if (step.done) {
      this.#parser = undefined;
      this.#plan = step.value;
    } else {
      this.#parser = parser;
      this.#plan = step.value.plan;
      this.#want(step.value.wants);
    }
  }

  #want(range: ByteRange): void {
    const { start, end } = range;
    assert(0 <= start && start < end && end <= this.#size, `[${start}, ${end}) of ${this.#size} is wanted`);
    this.#lookBytesLeft -= end - start;
    assert(this.#lookBytesLeft >= 0, 'the looks at one object are limited');
    this.#wants = range;
  }
}
