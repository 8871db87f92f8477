/** A machine without a kernel on which the native session mounts: its mount table, its programs, its time. */
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { MountTableEntry } from '../../src/fuse/mount-table.js';
import { NativeFiles } from '../../src/fuse/native-files.js';
import { NativeSession } from '../../src/fuse/native-session.js';
import type { SessionOptions } from '../../src/fuse/session.js';
import type { UnmountSystem } from '../../src/fuse/unmount.js';
import { createLogger } from '../../src/observability/logger.js';
import { TransferMetrics } from '../../src/observability/metrics.js';
import { FilesystemRig } from '../filesystem/filesystem-rig.js';
import { FakeAddon } from '../support/fake-addon.js';
import type { FakeSession } from '../support/fake-addon.js';
import { record } from '../support/packed.js';
import { SimulatedClock } from '../support/simulated-clock.js';

export const NEGOTIATED = record(
  8,
  ['u32', 7],
  ['u32', 41],
  ['u32', 1],
  ['u32', 32],
  ['u32', 2 ** 20],
  ['u32', 2],
  ['u32', 1],
  ['u32', 1],
);
export const ENDED = record(10, ['u32', 19], ['u32', 0]);

/** A machine with one mount point; commands remove the mount, or the test does. */
export class Machine {
  readonly addon = new FakeAddon();
  readonly rig = new FilesystemRig({ versionsApart: true });
  readonly clock = new SimulatedClock();
  readonly metrics = new TransferMetrics(this.clock);
  readonly files = new NativeFiles(this.addon);
  readonly lines: Record<string, unknown>[] = [];
  readonly commands: string[] = [];
  /** The exit code of umount and fusermount3; 0 does what is asked. */
  exitCode = 0;
  table: readonly MountTableEntry[] = [];
  readonly session: NativeSession;
  readonly mountpoint: string;

  constructor(t: Test, { isRoot = true, ...options }: Partial<SessionOptions> & { isRoot?: boolean } = {}) {
    this.mountpoint = mkdtempSync(join(tmpdir(), 'sluice-native-'));
    t.teardown(() => rmSync(this.mountpoint, { recursive: true }));
    const logger = createLogger('debug', {
      write: (line) => void this.lines.push(JSON.parse(line) as Record<string, unknown>),
    });
    const system: UnmountSystem = {
      platform: 'linux',
      isRoot,
      readMountTable: async () => this.table,
      abortConnection: async (minor) => void this.commands.push(`abort ${minor}`),
      run: async (file, args, { descriptor, environment }) => {
        const passed = descriptor === undefined ? '' : ` 3=${readlinkSync(`/proc/self/fd/${descriptor}`)}`;
        this.commands.push([file, ...args].join(' ') + passed + (environment?.['_FUSE_COMMFD'] ?? ''));
        if (this.exitCode === 0 && /mount/.test(file)) this.table = args.includes('-o') ? [this.#entry] : [];
        return { kind: 'exited', exitCode: this.exitCode, stdout: '', complaint: `${file}: no` };
      },
    };
    const { addon, files, metrics, clock } = this;
    const filesystem = this.rig.filesystem;
    this.session = new NativeSession(
      { addon, files, filesystem, logger, clock, metrics, system },
      {
        mountpoint: this.mountpoint,
        source: 's3://b/p',
        allowOther: false,
        metadataTtlMs: 60_000,
        readDeadlineMs: 5000,
        fuseThreads: 3,
        passthrough: true,
        traceReads: false,
        ...options,
      },
    );
  }

  get #entry(): MountTableEntry {
    return {
      id: '7',
      device: '0:99',
      mountpoint: this.mountpoint,
      fsType: 'fuse.sluice',
      source: 's3://b/p',
    };
  }

  get native(): FakeSession {
    const { session } = this.addon;
    if (!session) throw new Error('no session was started');
    return session;
  }

  /** The session with the mount in the table and the kernel's first request answered. */
  async mounted(): Promise<this> {
    await this.session.prepare();
    const mounting = this.session.mount();
    this.table = [this.#entry];
    await this.turns();
    this.native.emit(NEGOTIATED);
    await mounting;
    return this;
  }

  /** Lets everything happen that is due without time going on. */
  async turns(): Promise<void> {
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.turns();
  }

  messages(level: number): unknown[] {
    return this.lines.filter((line) => line['level'] === level).map(({ msg }) => msg);
  }
}
