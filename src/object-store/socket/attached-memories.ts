/**
 * The memory of the files that a worker thread's fetches write into: mapped once per file, however many fetches of it are
 * under way, and unmapped when the last of them has ended. Used by worker-core.ts.
 *
 * A file is known by its descriptor, which stays open until the thread said that every fetch of it ended.
 */
import { assert } from '../../runtime/assert.js';
import { attachSharedMemory } from '../../runtime/shared-memory.js';
import type { AttachedMemory, MapsFiles, SharedMemory } from '../../runtime/shared-memory.js';

interface MappedFile {
  readonly memory: AttachedMemory;
  users: number;
}

export class AttachedMemories {
  readonly #mapsFiles: MapsFiles | undefined;
  readonly #mapped = new Map<number, MappedFile>();

  constructor(mapsFiles: MapsFiles | undefined) {
    this.#mapsFiles = mapsFiles;
  }

  /** To be released, once. @throws NodeJS.ErrnoException when the file cannot be mapped */
  attach(memory: SharedMemory): AttachedMemory {
    if (memory.kind === 'shared') return attachSharedMemory(memory, undefined);
    const { descriptor } = memory;
    let file = this.#mapped.get(descriptor);
    if (file === undefined) {
      file = { memory: attachSharedMemory(memory, this.#mapsFiles), users: 0 };
      this.#mapped.set(descriptor, file);
    }
    file.users += 1;
    const { availability, checksums } = file.memory;
    return { availability, checksums, release: () => this.#release(descriptor) };
  }

  #release(descriptor: number): void {
    const file = this.#mapped.get(descriptor);
    assert(file !== undefined, `descriptor ${descriptor} is mapped`);
    file.users -= 1;
    if (file.users > 0) return;
    this.#mapped.delete(descriptor);
    file.memory.release();
  }
}
