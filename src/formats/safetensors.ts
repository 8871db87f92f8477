/**
 * safetensors: an 8-byte little-endian length N, N bytes of JSON that name each tensor with its place, then the
 * tensors. Loaders read the header, then map the file and touch the tensors in about the order of their bytes.
 *
 * The format demands that the tensors cover everything behind the header without a hole, which is what is verified.
 * https://huggingface.co/docs/safetensors: "Format".
 */
import type { ByteRange } from '../runtime/range.js';
import type { LoadPlan } from './load-plan.js';
import { isEmpty, LOOK_BYTES_MAX, readUint64, viewOf } from './parser.js';
import type { FormatParser } from './parser.js';

const LENGTH_BYTES = 8;
/** `{}`: the shortest header there can be. */
const HEADER_BYTES_MIN = 2;
const OPENING_BRACE = 0x7b;

export function* parseSafetensors(head: Uint8Array, size: number): FormatParser {
  if (head.length < LENGTH_BYTES + HEADER_BYTES_MIN || head[LENGTH_BYTES] !== OPENING_BRACE) return undefined;
  const headerBytes = readUint64(viewOf(head), 0);
  const dataStart = LENGTH_BYTES + headerBytes;
  if (headerBytes < HEADER_BYTES_MIN || dataStart > Math.min(size, LOOK_BYTES_MAX)) return undefined;

  const rest: ByteRange = { start: head.length, end: dataStart };
  const plan: LoadPlan = { format: 'safetensors', first: isEmpty(rest) ? [] : [rest], dataStart };
  const pieces = [head.subarray(LENGTH_BYTES, dataStart)];
  if (!isEmpty(rest)) pieces.push(yield { wants: rest, plan });
  return coversData(Buffer.concat(pieces), size - dataStart) ? plan : undefined;
}

/** True when the tensors of the header lie one behind the other from 0 to `dataBytes`. */
function coversData(header: Buffer, dataBytes: number): boolean {
  const places = tensorPlaces(header);
  if (!places) return false;
  places.sort((a, b) => a.start - b.start || a.end - b.end);
  let end = 0;
  for (const place of places) {
    if (place.start !== end || place.end < place.start) return false;
    end = place.end;
  }
  return end === dataBytes;
}

function tensorPlaces(header: Buffer): { start: number; end: number }[] | undefined {
  let tensors: unknown;
  try {
    tensors = JSON.parse(header.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof tensors !== 'object' || tensors === null) return undefined;
  const places = [];
  for (const [name, tensor] of Object.entries(tensors)) {
    if (name === '__metadata__') continue;
    const offsets: unknown = (tensor as { readonly data_offsets?: unknown } | null)?.data_offsets;
    if (!Array.isArray(offsets)) return undefined;
    const [start, end] = offsets as readonly unknown[];
    if (typeof start !== 'number' || typeof end !== 'number') return undefined;
    places.push({ start, end });
  }
  return places;
}
