/**
 * Small writers of the formats that src/formats recognises, by the letter of their specifications and independent of
 * the parsers: whole files in memory, and what a loader's plan of them should say.
 */
import { unreachable } from '../../src/runtime/assert.js';

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export interface Tensor {
  readonly name: string;
  readonly bytes: number;
}

/** @param order of the names in the header, by index; the bytes lie in the order given */
export function safetensors(tensors: readonly Tensor[], order = tensors.map((_, at) => at)): Buffer {
  let end = 0;
  const places = tensors.map(({ bytes }) => [end, (end += bytes)]);
  const named = order.map((at) => [tensors[at]!.name, { dtype: 'U8', shape: [], data_offsets: places[at] }]);
  const json = JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(named) });
  // Writers align the data by spaces.
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  return Buffer.concat([uint64(header.length), header, Buffer.alloc(end, 0xda)]);
}

export type GgufValue =
  | { readonly type: 'uint32'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'float64s'; readonly count: number }
  | { readonly type: 'strings'; readonly values: readonly string[] }
  /** An array of arrays of bytes. */
  | { readonly type: 'nested'; readonly depth: number };

export interface GgufOptions {
  readonly version?: number;
  readonly pairs?: Readonly<Record<string, GgufValue>>;
  readonly tensors?: readonly Tensor[];
  readonly alignment?: number;
}

/** The file, and where its tensors begin. */
export function gguf({ version = 3, pairs = {}, tensors = [], alignment }: GgufOptions) {
  const count = version === 1 ? uint32 : uint64;
  const text = (value: string) => Buffer.concat([count(Buffer.byteLength(value)), Buffer.from(value)]);
  const nested = (depth: number): Buffer =>
    depth === 0
      ? Buffer.concat([uint32(0), count(3), Buffer.alloc(3)])
      : Buffer.concat([uint32(9), count(2), nested(depth - 1), nested(depth - 1)]);
  const encode = (value: GgufValue): Buffer => {
    switch (value.type) {
      case 'uint32':
        return Buffer.concat([uint32(4), uint32(value.value)]);
      case 'string':
        return Buffer.concat([uint32(8), text(value.value)]);
      case 'float64s':
        return Buffer.concat([uint32(9), uint32(12), count(value.count), Buffer.alloc(8 * value.count)]);
      case 'strings':
        return Buffer.concat([uint32(9), uint32(8), count(value.values.length), ...value.values.map(text)]);
      case 'nested':
        return Buffer.concat([uint32(9), nested(value.depth)]);
      default:
        return unreachable(value);
    }
  };
  const all =
    alignment === undefined
      ? pairs
      : { ...pairs, 'general.alignment': { type: 'uint32', value: alignment } as const };
  const padding = (bytes: number) =>
    Buffer.alloc((alignment ?? 32) - 1 - ((bytes + (alignment ?? 32) - 1) % (alignment ?? 32)));
  let end = 0;
  const records = tensors.map(({ name, bytes }) => {
    const start = end;
    end += bytes + padding(bytes).length;
    return Buffer.concat([text(name), uint32(1), count(bytes), uint32(24), uint64(start)]);
  });
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(version),
    count(tensors.length),
    count(Object.keys(all).length),
    ...Object.entries(all).flatMap(([key, value]) => [text(key), encode(value)]),
    ...records,
  ]);
  const dataStart = header.length + padding(header.length).length;
  return { file: Buffer.concat([header, padding(header.length), Buffer.alloc(end, 0xda)]), dataStart };
}

export interface ZipFile {
  readonly name: string;
  readonly bytes: number;
}

export interface ZipOptions {
  /** Every size and place in its 64-bit form. */
  readonly zip64?: boolean;
  readonly comment?: string;
}

/** The archive, its members stored, with the place of each local header and of the directory. */
export function zip(members: readonly ZipFile[], { zip64 = false, comment = '' }: ZipOptions = {}) {
  const pieces: Buffer[] = [];
  const entries: Buffer[] = [];
  const starts: number[] = [];
  let at = 0;
  const add = (...added: readonly Buffer[]) => {
    for (const piece of added) at += piece.length;
    pieces.push(...added);
  };
  for (const { name, bytes } of members) {
    starts.push(at);
    entries.push(zipEntry(name, bytes, at, zip64));
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt32LE(bytes, 18);
    local.writeUInt32LE(bytes, 22);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    add(local, Buffer.from(name), Buffer.alloc(bytes, 0xda));
  }
  const directory = { start: at, end: at + Buffer.concat(entries).length };
  add(...entries);
  if (zip64) add(...zip64End(members.length, directory));
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(Math.min(0xffff, members.length), 8);
  end.writeUInt16LE(Math.min(0xffff, members.length), 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : directory.end - directory.start, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : directory.start, 16);
  end.writeUInt16LE(Buffer.byteLength(comment), 20);
  add(end, Buffer.from(comment));
  return { file: Buffer.concat(pieces), starts, directory };
}

function zipEntry(name: string, bytes: number, start: number, zip64: boolean): Buffer {
  const extra = zip64
    ? Buffer.concat([
        // A field of another kind before it.
        Buffer.from([0x55, 0x54, 1, 0, 0]),
        Buffer.from([1, 0, 24, 0]),
        uint64(bytes),
        uint64(bytes),
        uint64(start),
      ])
    : Buffer.alloc(0);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50);
  entry.writeUInt32LE(zip64 ? 0xffffffff : bytes, 20);
  entry.writeUInt32LE(zip64 ? 0xffffffff : bytes, 24);
  entry.writeUInt16LE(Buffer.byteLength(name), 28);
  entry.writeUInt16LE(extra.length, 30);
  entry.writeUInt32LE(zip64 ? 0xffffffff : start, 42);
  return Buffer.concat([entry, Buffer.from(name), extra]);
}

function zip64End(members: number, directory: { readonly start: number; readonly end: number }): Buffer[] {
  const record = Buffer.alloc(24);
  record.writeUInt32LE(0x06064b50);
  record.writeBigUInt64LE(44n, 4);
  const counts = [members, members, directory.end - directory.start, directory.start].map(uint64);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50);
  locator.writeBigUInt64LE(BigInt(directory.end), 8);
  return [record, ...counts, locator];
}

/** As `torch.save` lays it out. */
export function torchMembers(storages: readonly number[], pickleBytes = 500): ZipFile[] {
  return [
    { name: 'model/data.pkl', bytes: pickleBytes },
    { name: 'model/byteorder', bytes: 6 },
    ...storages.map((bytes, at) => ({ name: `model/data/${at}`, bytes })),
    { name: 'model/version', bytes: 2 },
  ];
}
