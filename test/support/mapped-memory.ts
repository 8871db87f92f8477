/** A file that holds the memory of another file, availability and checksums, as the cache lays it out: for tests that map it. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Availability } from '../../src/runtime/availability.js';
import { BlockChecksums } from '../../src/runtime/block-checksums.js';
import type { MapsFiles, SharedMemory } from '../../src/runtime/shared-memory.js';

const PAGE = 4096;

export interface MappedMemory {
  readonly path: string;
  readonly memory: Extract<SharedMemory, { kind: 'mapped' }>;
}

/** A new one, of an object of so many bytes; open until the test ends. */
export function createMappedMemory(t: Test, addon: MapsFiles, size: number): MappedMemory {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-map-'));
  const path = join(folder, 'map');
  const descriptor = openSync(path, 'wx+');
  t.teardown(() => {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });
  const availabilityBytes = Availability.bytesFor(size);
  const checksumsBytes = BlockChecksums.bytesFor(size);
  const availabilityAt = PAGE;
  const checksumsAt = availabilityAt + Math.ceil(availabilityBytes / PAGE) * PAGE;
  ftruncateSync(descriptor, checksumsAt + checksumsBytes);
  const mapped = addon.mapFile(descriptor, 0, checksumsAt + checksumsBytes);
  Availability.begin(new Uint8Array(mapped, availabilityAt, availabilityBytes), size);
  BlockChecksums.begin(new Uint8Array(mapped, checksumsAt, checksumsBytes), size);
  addon.unmapFile(mapped);
  const memory = {
    kind: 'mapped',
    descriptor,
    availabilityAt,
    availabilityBytes,
    checksumsAt,
    checksumsBytes,
  } as const;
  return { path, memory };
}
