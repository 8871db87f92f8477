/**
 * Hands a probe what it wants of an object until it wants no more, and throws when it breaks a promise on the way:
 * looks lie within the object and stay below 16 MiB together, plans lie within it, and the looks end.
 */
import type { LoadPlan } from '../../src/formats/load-plan.js';
import { createFormatProbe } from '../../src/formats/recognise.js';
import type { ByteRange } from '../../src/runtime/range.js';

/** No format needs as many. */
const LOOKS_MAX = 32;
const LOOK_BYTES_MAX = 16 * 1024 * 1024;

export interface Probed {
  /** After the last look. */
  readonly plan: LoadPlan | undefined;
  /** After each. */
  readonly plans: readonly (LoadPlan | undefined)[];
  readonly looks: readonly ByteRange[];
}

/** @param size of the object; what lies behind `bytes` is zeros */
export function probe(bytes: Uint8Array, size = bytes.length): Probed {
  const subject = createFormatProbe(size);
  const plans: (LoadPlan | undefined)[] = [];
  const looks: ByteRange[] = [];
  for (let wants = subject.wants; wants !== undefined; wants = subject.wants) {
    looks.push(wants);
    checkRange(wants, size);
    if (looks.length > LOOKS_MAX) throw new Error('it does not end');
    const piece = new Uint8Array(wants.end - wants.start);
    piece.set(bytes.subarray(wants.start, wants.end));
    subject.look(piece);
    plans.push(subject.plan);
    if (subject.plan) checkPlan(subject.plan, size);
  }
  const lookBytes = looks.reduce((sum, { start, end }) => sum + end - start, 0);
  if (lookBytes > LOOK_BYTES_MAX) throw new Error(`${lookBytes} bytes were looked at`);
  return { plan: subject.plan, plans, looks };
}

function checkPlan({ first, dataStart }: LoadPlan, size: number): void {
  for (const range of first) checkRange(range, size);
  if (!(dataStart >= 0 && dataStart <= size)) throw new Error(`data from ${dataStart} of ${size}`);
}

function checkRange({ start, end }: ByteRange, size: number): void {
  const isWhole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (!isWhole || start < 0 || start >= end || end > size) throw new Error(`[${start}, ${end}) of ${size}`);
}
