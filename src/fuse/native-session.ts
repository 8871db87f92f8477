/**
 * The native session driver: a mount carried by the addon (src/native.ts), which answers reads by itself and hands over
 * the rest as events. Made by drivers.ts; native-operations.ts answers the requests, native-files.ts hears of reads.
 *
 *     new ──prepare()──► checked ──mount()──► mounted ──unmount(), anybody's umount, or an abort──► ended
 *
 * The end is one way for all: the addon stops (what waits is answered, its threads end, the connection is closed), and
 * only then `ended` settles, so that nobody reads from a layer that is being taken down.
 */
import { closeSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { DirectRead } from '../file/direct-reads.js';
import type { Filesystem } from '../filesystem/filesystem.js';
import type { NativeAddon, NativeSession as AddonSession } from '../native.js';
import type { Logger } from '../observability/logger.js';
import type { TransferMetrics } from '../observability/metrics.js';
import type { DriverStatus } from '../observability/status-report.js';
import { asError } from '../runtime/assert.js';
import { sleep } from '../runtime/clock.js';
import type { Clock } from '../runtime/clock.js';
import { Deferred } from '../runtime/deferred.js';
import { checkFuseSupport, thisMachine } from './fuse-support.js';
import { featureNames } from './fuse-protocol.js';
import { MountedPoint, WATCH_INTERVAL_MS } from './mounted-point.js';
import { decodeEvents } from './native-events.js';
import type { Negotiated, NativeEvents } from './native-events.js';
import type { NativeFiles } from './native-files.js';
import { NativeFigures } from './native-figures.js';
import { makeMount } from './native-mounting.js';
import { NativeOperations } from './native-operations.js';
import { logProblem, NO_PASSTHROUGH } from './native-problems.js';
import { RehearsalKernel } from './rehearsal-kernel.js';
import { errnoOfError, logFailure } from './request-failure.js';
import { MountError } from './session.js';
import type { Session, SessionOptions } from './session.js';
import type { UnmountSystem } from './unmount.js';

/** The largest READ that the kernel sends to anybody (256 pages). */
const READ_BYTES_MAX = 1024 * 1024;
/** Two of the largest records: a batch is taken while the next one fills. */
const EVENTS_BYTES = 4 * 1024 * 1024;
/** The kernel sends its first request at once; longer means that something between us is broken. */
const INIT_TIMEOUT_MS = 10_000;
/** As far as the kernel reads ahead by itself: one of the largest requests; only root may set it. */
const READ_AHEAD_KIB = READ_BYTES_MAX / 1024;

export interface NativeSessionDeps {
  readonly addon: NativeAddon;
  readonly files: NativeFiles;
  readonly filesystem: Filesystem;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: Pick<TransferMetrics, 'readsEndedOutside'>;
  readonly system: UnmountSystem;
}

export class NativeSession implements Session {
  readonly #deps: NativeSessionDeps;
  readonly #options: SessionOptions;
  readonly #point: MountedPoint;
  readonly #negotiated = new Deferred<Negotiated>();
  readonly #ended = new Deferred<void>();
  readonly #figures: NativeFigures;
  #agreed: Negotiated | undefined;
  #addonSession: AddonSession | undefined;
  #isUnmounting = false;
  #ending: Promise<void> | undefined;

  constructor(deps: NativeSessionDeps, options: SessionOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#point = new MountedPoint(deps, options.mountpoint);
    this.#figures = new NativeFigures(deps.metrics);
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  status(): DriverStatus {
    const agreed = this.#agreed;
    return {
      name: 'native',
      note: null,
      versionsApart: true,
      readBytesMax: agreed?.readBytesMax ?? READ_BYTES_MAX,
      passthrough: agreed?.passthrough ?? false,
      protocol: agreed ? `${agreed.major}.${agreed.minor}` : null,
      features: agreed ? featureNames(agreed.flags, agreed.flags2) : [],
      threads: agreed?.threads ?? this.#options.fuseThreads,
      ...this.#figures.now(this.#addonSession),
    };
  }

  async prepare(): Promise<void> {
    checkFuseSupport(thisMachine(), { allowOther: this.#options.allowOther, driver: 'native' });
    await this.#point.prepare();
  }

  async mount(): Promise<void> {
    const { addon, system, logger } = this.#deps;
    const { mountpoint } = this.#options;
    const descriptor = await makeMount(addon, this.#options, system);
    try {
      this.#start(descriptor);
      const agreed = await this.#firstRequest();
      const { device } = await this.#point.appeared();
      if (system.isRoot && device !== undefined) await this.#raiseReadAhead(device);
      logger.debug({ mountpoint, ...agreed, features: this.status().features }, 'negotiated with the kernel');
    } catch (error) {
      await this.#point.undo();
      await this.#end();
      throw error instanceof MountError ? error : this.#mountFailed(error);
    }
    void this.#point.untilGone(() => this.#figures.sample(this.#addonSession)).then(() => this.#end());
  }

  async unmount({ force }: { readonly force: boolean }): Promise<void> {
    this.#isUnmounting = true;
    try {
      await this.#point.remove({ force });
    } catch (error) {
      this.#isUnmounting = false;
      // As the last resort nobody waits for this mount any more, though it stays in the mount table.
      if (force) await this.#end();
      throw error;
    }
    await this.#end();
  }

  async rehearse(name: string): Promise<void> {
    const { filesystem, logger } = this.#deps;
    const kernel = new RehearsalKernel((records) => this.#take(records, records.length, visitor));
    const { replies } = kernel;
    const options = { passthrough: this.#options.passthrough };
    const visitor = this.#visitor(
      new NativeOperations({ filesystem, logger, session: kernel, replies }, options),
    );
    await kernel.readFile(name, filesystem);
  }

  /** Hands the descriptor to the addon. @throws what the addon throws; the descriptor is closed then */
  #start(descriptor: number): void {
    const { addon, files, filesystem, logger, system } = this.#deps;
    const { fuseThreads, readDeadlineMs, traceReads } = this.#options;
    // The kernel refuses it to users, which would only be found out when it is first used.
    const passthrough = this.#options.passthrough && !traceReads && system.isRoot;
    const events = Buffer.alloc(EVENTS_BYTES);
    const replies = Buffer.alloc(READ_BYTES_MAX);
    let take: (bytes: number) => void = () => {};
    let session: AddonSession;
    try {
      session = addon.startSession({
        descriptor,
        threads: fuseThreads,
        cloneDescriptors: true,
        readBytesMax: READ_BYTES_MAX,
        readDeadlineMs,
        passthrough,
        traceReads,
        events,
        replies,
        onEvents: (bytes) => take(bytes),
      });
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    this.#addonSession = session;
    const onOpen = files.opened.bind(files);
    const operations = new NativeOperations(
      { filesystem, logger, session, replies, onOpen },
      { passthrough },
    );
    const visitor = this.#visitor(operations);
    take = (bytes) => this.#take(events, bytes, visitor);
    filesystem.onNameOutdated((parent, name) => session.invalidateEntry(parent, Buffer.from(name)));
    const failRead = (read: DirectRead, error: Error) => {
      const failure = filesystem.readFailed(read.handle, error);
      if (!session.failRead(read.id, errnoOfError(failure, 'linux'))) return;
      logFailure(logger, { operation: 'read', handle: read.handle, read: `r${read.id}` }, failure);
    };
    files.join(failRead, (node) => session.invalidateInode(node));
  }

  /** What the addon calls: must not throw, whatever is in the records. */
  #take(events: Buffer, bytes: number, visitor: NativeEvents): void {
    const lost = (error: unknown, kind?: number) =>
      this.#deps.logger.error({ err: error, kind }, 'an event of the native driver was lost by a bug');
    try {
      decodeEvents(events, bytes, visitor, lost);
    } catch (error) {
      lost(error);
    }
  }

  #visitor(operations: NativeOperations): NativeEvents {
    const { files, filesystem, logger } = this.#deps;
    return {
      request: (request) => operations.handle(request),
      forgotten: (node, count) => filesystem.forget(node, count),
      readEntered: (file, read) => files.readEntered(file, read),
      readWaiting: (file, read) => files.readWaiting(file, read),
      readEnded: (file, read, end) => files.readEnded(file, read, end),
      readObserved: (file, start, end) => files.readObserved(file, start, end),
      released: (handle) => filesystem.release(handle),
      negotiated: (agreed) => {
        this.#agreed = agreed;
        this.#negotiated.resolve(agreed);
      },
      problem: (code, errno, detail) => {
        // Agreed on with the kernel, and refused when it was first used.
        if (code === NO_PASSTHROUGH && this.#agreed) this.#agreed = { ...this.#agreed, passthrough: false };
        logProblem(logger, { code, errno, detail });
      },
      ended: (errno) => void this.#connectionEnded(errno),
    };
  }

  /** Resolves with the kernel's first request. @throws MountError */
  async #firstRequest(): Promise<Negotiated> {
    const cancelTimer = this.#deps.clock.after(INIT_TIMEOUT_MS, () => {
      const reason = `no request from the kernel within ${INIT_TIMEOUT_MS / 1000} s`;
      this.#negotiated.reject(this.#mountFailed(new Error(reason)));
    });
    try {
      return await this.#negotiated.promise;
    } finally {
      cancelTimer();
    }
  }

  #mountFailed(error: unknown): MountError {
    const message = `cannot mount on ${this.#options.mountpoint}: ${asError(error).message}`;
    return new MountError('mount_failed', message, error);
  }

  /** Without it sequential readers of uncached bytes wait for 128 KiB at a time. */
  async #raiseReadAhead(device: string): Promise<void> {
    try {
      await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, `${READ_AHEAD_KIB}`);
    } catch (error) {
      this.#deps.logger.debug({ err: error }, 'the read-ahead of the mount stays as it is');
    }
  }

  /**
   * The kernel ended the connection: the mount is gone, or somebody aborted it, who may be about to remove it. One that
   * is left is dead, and in the way of whoever wants to mount there.
   */
  async #connectionEnded(errno: number): Promise<void> {
    const { logger, clock } = this.#deps;
    this.#negotiated.reject(this.#mountFailed(new Error(`the kernel ended the connection (errno ${errno})`)));
    if (this.#isUnmounting || this.#ending) return;
    if (await this.#point.isThere()) {
      await sleep(clock, WATCH_INTERVAL_MS);
      if (this.#isUnmounting || this.#ending) return;
      logger.warn({ errno }, 'the connection to the kernel was aborted: the mount ends');
      await this.#point.remove({ force: false }).catch((error: unknown) => {
        logger.warn({ err: error }, 'the dead mount could not be removed');
      });
    }
    await this.#end();
  }

  #end(): Promise<void> {
    this.#ending ??= this.#stop();
    return this.#ending;
  }

  async #stop(): Promise<void> {
    this.#point.forget();
    try {
      await this.#addonSession?.stop();
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'the native driver did not stop cleanly');
    }
    this.#figures.sample(this.#addonSession);
    this.#ended.resolve();
  }
}
