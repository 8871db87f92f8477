/**
 * The map file of a copy: its Availability and BlockChecksums, as they lie in memory, and a mark at the end that says what
 * it is. Mapped, so that other processes see what arrives and a killed one loses nothing; without the addon in memory,
 * read once, and written back by `save`.
 *
 * Promise: `open` gives what `create` began, for an object of this size, or undefined: whether it tells the truth is
 * known by the stamp of its row, not here.
 *
 * Layout (little endian): the availability · from the next multiple of 64 the checksums · from the next multiple of 64 the
 * mark: 8 bytes MARK, int64 version of this layout, int64 size of the object.
 */
import { Availability } from '../runtime/availability.js';
import { BlockChecksums } from '../runtime/block-checksums.js';
import { sharedMemoryOf } from '../runtime/shared-memory.js';
import type { MapsFiles, SharedMemory } from '../runtime/shared-memory.js';
import { createAnew } from './file-operations.js';
import type { FileOperations } from './file-operations.js';
import type { CopyMemory } from './local-copy.js';

const MARK = 0x70616d6563756c73n;
const LAYOUT_VERSION = 1n;
const MARK_BYTES = 64;
/** Of a cache line, and of all that is in the file. */
const ALIGNED_BYTES = 64;

export interface MapFileDeps {
  readonly files: FileOperations;
  readonly addon: MapsFiles | undefined;
}

interface Layout {
  readonly availabilityBytes: number;
  readonly checksumsAt: number;
  readonly checksumsBytes: number;
  readonly markAt: number;
  readonly bytes: number;
}

export function mapFileBytes(size: number): number {
  return layoutFor(size).bytes;
}

/** The parts of the file in memory. */
interface Parts {
  readonly availability: Uint8Array;
  readonly checksums: Uint8Array;
  readonly mark: BigInt64Array;
  /** All of them, where they are mapped. */
  readonly mapped: ArrayBuffer | undefined;
}

export class MapFile implements CopyMemory {
  readonly availability: Availability;
  readonly checksums: BlockChecksums;
  readonly #deps: MapFileDeps;
  readonly #descriptor: number;
  readonly #parts: Parts;
  readonly #layout: Layout;
  #closed = false;

  /** In place of whatever lies at `path`. @throws NodeJS.ErrnoException, e.g. ENOSPC: nothing lies there then */
  static create(path: string, size: number, deps: MapFileDeps): MapFile {
    const { files } = deps;
    const descriptor = createAnew(files, path);
    let parts: Parts | undefined;
    try {
      const layout = layoutFor(size);
      // Its blocks are taken now, on any file system: a store into a hole of a full disk would end the process.
      files.write(descriptor, new Uint8Array(layout.bytes));
      parts = takeMemory(descriptor, layout, deps);
      Availability.begin(parts.availability, size);
      BlockChecksums.begin(parts.checksums, size);
      parts.mark.set([MARK, LAYOUT_VERSION, BigInt(size)]);
      return new MapFile(descriptor, parts, layout, deps);
    } catch (error) {
      giveBack(descriptor, parts, deps);
      files.unlink(path);
      throw error;
    }
  }

  /** Undefined when there is none that fits. @throws NodeJS.ErrnoException when it cannot be read */
  static open(path: string, size: number, deps: MapFileDeps): MapFile | undefined {
    const { files } = deps;
    const layout = layoutFor(size);
    if (files.stat(path)?.size !== BigInt(layout.bytes)) return undefined;
    const descriptor = files.open(path, 'existing');
    let parts: Parts | undefined;
    try {
      parts = takeMemory(descriptor, layout, deps);
      if (parts.mapped === undefined) load(descriptor, parts, layout, deps);
      if (holds(parts, size)) return new MapFile(descriptor, parts, layout, deps);
    } catch (error) {
      giveBack(descriptor, parts, deps);
      throw error;
    }
    giveBack(descriptor, parts, deps);
    return undefined;
  }

  private constructor(descriptor: number, parts: Parts, layout: Layout, deps: MapFileDeps) {
    this.#deps = deps;
    this.#descriptor = descriptor;
    this.#parts = parts;
    this.#layout = layout;
    this.availability = Availability.attach(parts.availability);
    this.checksums = BlockChecksums.attach(parts.checksums);
  }

  shared(): SharedMemory {
    if (this.#parts.mapped === undefined) return sharedMemoryOf(this);
    const { availabilityBytes, checksumsAt, checksumsBytes } = this.#layout;
    const descriptor = this.#descriptor;
    return { kind: 'mapped', descriptor, availabilityAt: 0, availabilityBytes, checksumsAt, checksumsBytes };
  }

  /** Writes what is in memory only; nothing to do where it is mapped. @throws NodeJS.ErrnoException */
  save(): void {
    const { availability, checksums, mark, mapped } = this.#parts;
    if (mapped !== undefined) return;
    const { checksumsAt, markAt, bytes } = this.#layout;
    const all = new Uint8Array(bytes);
    all.set(availability);
    all.set(checksums, checksumsAt);
    all.set(new Uint8Array(mark.buffer), markAt);
    this.#deps.files.write(this.#descriptor, all);
  }

  /** Nobody in this process uses the memory any more. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    giveBack(this.#descriptor, this.#parts, this.#deps);
  }
}

function layoutFor(size: number): Layout {
  const availabilityBytes = Availability.bytesFor(size);
  const checksumsAt = aligned(availabilityBytes);
  const checksumsBytes = BlockChecksums.bytesFor(size);
  const markAt = aligned(checksumsAt + checksumsBytes);
  return { availabilityBytes, checksumsAt, checksumsBytes, markAt, bytes: markAt + MARK_BYTES };
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNED_BYTES) * ALIGNED_BYTES;
}

function takeMemory(descriptor: number, layout: Layout, { addon }: MapFileDeps): Parts {
  const { availabilityBytes, checksumsAt, checksumsBytes, markAt, bytes } = layout;
  if (addon === undefined) {
    return {
      availability: new Uint8Array(new SharedArrayBuffer(availabilityBytes)),
      checksums: new Uint8Array(new SharedArrayBuffer(checksumsBytes)),
      mark: new BigInt64Array(3),
      mapped: undefined,
    };
  }
  const mapped = addon.mapFile(descriptor, 0, bytes);
  return {
    availability: new Uint8Array(mapped, 0, availabilityBytes),
    checksums: new Uint8Array(mapped, checksumsAt, checksumsBytes),
    mark: new BigInt64Array(mapped, markAt, 3),
    mapped,
  };
}

function load(
  descriptor: number,
  { availability, checksums, mark }: Parts,
  layout: Layout,
  { files }: MapFileDeps,
) {
  const { checksumsAt, markAt, bytes } = layout;
  const all = new Uint8Array(bytes);
  files.read(descriptor, all);
  availability.set(all.subarray(0, availability.length));
  checksums.set(all.subarray(checksumsAt, checksumsAt + checksums.length));
  mark.set(new BigInt64Array(all.buffer, markAt, mark.length));
}

function holds({ availability, checksums, mark }: Parts, size: number): boolean {
  const [word, version, markedSize] = mark;
  if (word !== MARK || version !== LAYOUT_VERSION || markedSize !== BigInt(size)) return false;
  return Availability.holds(availability, size) && BlockChecksums.holds(checksums, size);
}

function giveBack(descriptor: number, parts: Parts | undefined, { files, addon }: MapFileDeps): void {
  if (parts?.mapped !== undefined) addon?.unmapFile(parts.mapped);
  files.close(descriptor);
}
