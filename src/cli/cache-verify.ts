/** `sluice cache verify`: one copy after the other, with progress; what is wrong is removed and said. */
import type { Cache } from '../cache/cache.js';
import type { CachedObject } from '../cache/cached-object.js';
import type { TransferConfig } from '../config/mount-config.js';
import { nativeAddonIfAny } from '../native.js';
import type { ObjectStore, ObjectVersion } from '../object-store/object-store.js';
import { createS3ObjectStore } from '../object-store/s3-object-store.js';
import { silentLogger } from '../observability/logger.js';
import { verifyCopy } from '../requests/verify.js';
import type { CopyFinding } from '../requests/verify.js';
import { checksumFunctions } from '../runtime/checksum-functions.js';
import { systemClock } from '../runtime/clock.js';
import { formatBytes } from '../runtime/units.js';
import { urlOf } from './cache-text.js';
import { EXIT } from './exit-codes.js';
import { printLine } from './output.js';
import { Progress, progressStyle } from './progress.js';
import { StopRequests } from './stop-requests.js';
import { objects } from './warm.js';

export interface VerifyOptions {
  /** How to reach the servers of the objects. */
  readonly config: TransferConfig;
  readonly json: boolean;
  /** Ask the servers what they keep of the objects, too. */
  readonly full: boolean;
}

/** Resolves to the exit code. @throws ObjectStoreError when a server cannot be asked */
export async function verifyCache(
  copies: readonly CachedObject[],
  cache: Cache,
  options: VerifyOptions,
): Promise<number> {
  const run = new VerifyRun(copies, cache, options);
  const stopRequests = new StopRequests();
  stopRequests.listenToSignals({ background: false });
  const aborter = new AbortController();
  let stopped: number | undefined;
  void stopRequests.first.then(({ exitCode }) => {
    stopped = exitCode;
    aborter.abort();
  });
  void stopRequests.second.then(({ exitCode }) => process.exit(exitCode));
  try {
    await run.all(aborter.signal);
  } catch (error) {
    if (stopped === undefined) throw error;
  } finally {
    run.end();
  }
  return stopped ?? (run.isAllRight ? EXIT.ok : EXIT.incomplete);
}

class VerifyRun {
  readonly #copies: readonly CachedObject[];
  readonly #cache: Cache;
  readonly #options: VerifyOptions;
  readonly #progress: Progress;
  readonly #servers = new Servers();
  readonly #found = { right: 0, unknown: 0, wrong: 0, gone: 0 };
  #bytes = 0;

  constructor(copies: readonly CachedObject[], cache: Cache, options: VerifyOptions) {
    this.#copies = copies;
    this.#cache = cache;
    this.#options = options;
    const bytesTotal = copies.reduce((sum, { version }) => sum + version.size, 0);
    const style = progressStyle({ json: options.json, isTerminal: process.stdout.isTTY });
    this.#progress = new Progress({ clock: systemClock, output: process.stdout }, style, () => ({
      filesDone: Object.values(this.#found).reduce((sum, count) => sum + count, 0),
      filesTotal: copies.length,
      bytesDone: this.#bytes,
      bytesTotal,
      bytesFetched: this.#bytes,
      running: [],
    }));
  }

  get isAllRight(): boolean {
    return this.#found.wrong === 0;
  }

  async all(signal: AbortSignal): Promise<void> {
    const addon = nativeAddonIfAny();
    const { config, full } = this.#options;
    const deps = {
      cache: this.#cache,
      functions: checksumFunctions(addon),
      checksumRange:
        addon && ((file: number, start: number, end: number) => addon.checksumRange(file, start, end)),
      server: full ? (version: ObjectVersion) => this.#servers.of(version, config, signal) : undefined,
      signal,
    };
    this.#progress.start();
    for (const copy of this.#copies) this.#take(copy, await verifyCopy(copy, deps));
  }

  end(): void {
    this.#servers.close();
    this.#progress.stop();
    const { right, unknown, wrong, gone } = this.#found;
    if (this.#options.json) {
      printLine(JSON.stringify({ event: 'summary', ...this.#found, bytes: this.#bytes }));
      return;
    }
    const facts = [
      `${objects(right)} right (${formatBytes(this.#bytes)} read)`,
      ...(wrong === 0 ? [] : [`${wrong} WRONG, removed`]),
      ...(unknown === 0 ? [] : [`${unknown} without checksums`]),
      ...(gone === 0 ? [] : [`${gone} in other hands now`]),
    ];
    printLine(facts.join('; '));
  }

  #take(copy: CachedObject, finding: CopyFinding): void {
    this.#found[finding.kind] += 1;
    this.#bytes += finding.kind === 'gone' ? 0 : copy.version.size;
    const { key, size } = copy.version;
    const url = urlOf(copy);
    const problem =
      finding.kind === 'wrong' ? `${url} was wrong and is removed: ${finding.reason}` : undefined;
    const { kind, ...rest } = finding;
    this.#progress.event({ event: 'file', key, url, size, result: kind, ...rest }, { problem });
  }
}

/** One connection for each bucket that is asked. */
class Servers {
  readonly #open = new Map<string, Promise<ObjectStore>>();
  readonly #stores: ObjectStore[] = [];

  of(version: ObjectVersion, config: TransferConfig, signal: AbortSignal): Promise<ObjectStore> {
    const name = JSON.stringify([version.endpoint, version.bucket]);
    const store = this.#open.get(name) ?? this.#connect(version, config, signal);
    this.#open.set(name, store);
    return store;
  }

  close(): void {
    for (const store of this.#stores) store.close();
  }

  async #connect(
    { endpoint, bucket, key }: ObjectVersion,
    config: TransferConfig,
    signal: AbortSignal,
  ): Promise<ObjectStore> {
    const [, region] = /^aws:(.*)$/.exec(endpoint) ?? [];
    const place = region === undefined ? { endpointUrl: endpoint } : { endpointUrl: undefined, region };
    const deps = { clock: systemClock, logger: silentLogger };
    const store = await createS3ObjectStore({ ...config, bucket, ...place }, deps);
    this.#stores.push(store);
    await store.check(key.slice(0, key.lastIndexOf('/') + 1), signal);
    return store;
  }
}
