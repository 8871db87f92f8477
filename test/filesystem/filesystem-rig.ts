/** A ReadOnlyFilesystem over objects in memory, with simulated time and a count of the requests it makes. */
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import type { NodeEntry } from '../../src/filesystem/filesystem.js';
import { ReadOnlyFilesystem } from '../../src/filesystem/read-only-filesystem.js';
import type { ReadOnlyFilesystemOptions } from '../../src/filesystem/read-only-filesystem.js';
import { silentLogger } from '../../src/observability/logger.js';
import type { Logger } from '../../src/observability/logger.js';
import { FaultyObjectStore } from '../support/faulty-object-store.js';
import type { ControlCall, ControlFault } from '../support/faulty-object-store.js';
import { MemoryContentSource } from '../support/memory-content.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';
import { SimulatedClock } from '../support/simulated-clock.js';

export const MOUNTED_MS = Date.UTC(2024, 5, 1);
export const TTL_MS = 60_000;

/** Of a mount of a whole bucket. */
export const FILESYSTEM_OPTIONS: ReadOnlyFilesystemOptions = {
  prefix: '',
  metadataTtlMs: TTL_MS,
  uid: 1,
  gid: 2,
  fileMode: 0o444,
  dirMode: 0o555,
  inodeBits: 53,
  versionsApart: false,
  platform: 'linux',
};

export class FilesystemRig {
  readonly clock = new SimulatedClock({ wallTimeMs: MOUNTED_MS });
  readonly objects = new MemoryObjectStore({ beforeChunk: () => {} });
  readonly content = new MemoryContentSource(this.objects);
  readonly filesystem: ReadOnlyFilesystem;
  /** What happens to the listings and HEADs from now on. */
  fault: (call: ControlCall) => ControlFault | undefined = () => undefined;
  /** Listings and HEADs, as `list PREFIX` and `head KEY`. */
  readonly #requests: string[] = [];

  constructor(options: Partial<ReadOnlyFilesystemOptions> = {}, logger: Logger = silentLogger) {
    const control = (call: ControlCall) => {
      this.#requests.push(`${call.operation} ${call.key}`);
      return this.fault(call);
    };
    this.filesystem = new ReadOnlyFilesystem(
      {
        objectStore: new FaultyObjectStore(this.objects, { control }),
        content: this.content,
        clock: this.clock,
        logger,
      },
      { ...FILESYSTEM_OPTIONS, ...options },
    );
  }

  /** The requests since the last call. */
  takeRequests(): string[] {
    return this.#requests.splice(0).sort();
  }

  async find(path: string): Promise<NodeEntry> {
    let entry = this.filesystem.getAttributes(ROOT_NODE)!;
    for (const name of path.split('/')) entry = await this.filesystem.lookup(entry.node, name);
    return entry;
  }

  async names(path?: string): Promise<string[]> {
    const node = path === undefined ? ROOT_NODE : (await this.find(path)).node;
    return (await this.filesystem.readDirectory(node)).map((entry) => entry.name);
  }

  async open(path: string): Promise<number> {
    return this.filesystem.open((await this.find(path)).node, { write: false });
  }

  async read(handle: number, offset = 0, length = 100): Promise<string> {
    const target = Buffer.alloc(length);
    return target.toString('utf8', 0, await this.filesystem.read({ handle, offset, target }));
  }
}
