/**
 * Has jobs served, one after the other, by daemons or in this process, shows how far they are, and sums up what came of
 * them. Used by warm.ts and pin.ts, which say what is asked and how the sum is put into words.
 */
import { callDaemon } from '../observability/control.js';
import { findSockets } from '../observability/status-socket.js';
import type { SocketPlace } from '../observability/status-socket.js';
import type {
  BucketRequest,
  FileMessage,
  Message,
  ProgressMessage,
  RunSummary,
} from '../requests/messages.js';
import { createAborter } from '../runtime/aborter.js';
import { unreachable } from '../runtime/assert.js';
import { systemClock } from '../runtime/clock.js';
import { CommandError, EXIT } from './exit-codes.js';
import { printLine } from './output.js';
import { Progress, progressStyle } from './progress.js';
import type { ProgressView } from './progress.js';
import type { Job, Target } from './request-targets.js';
import { StopRequests } from './stop-requests.js';
import type { StopReason } from './stop-requests.js';

export interface RequestRunOptions {
  readonly place: SocketPlace;
  readonly json: boolean;
  readonly makeRequest: (selections: Job['selections']) => BucketRequest;
  /** One line for people. */
  readonly summarise: (summary: RunSummary) => string;
  /** The words for a selection that nothing matches. */
  readonly notFound: (selection: string) => string;
}

/** Between two jobs. */
const NO_PROGRESS: ProgressMessage = {
  event: 'progress',
  filesDone: 0,
  filesTotal: 0,
  bytesDone: 0,
  bytesTotal: 0,
  bytesFetched: 0,
  running: [],
};

const NOTHING: RunSummary = {
  files: 0,
  bytes: 0,
  fetched: 0,
  cached: 0,
  failed: 0,
  pinned: 0,
  unpinned: 0,
  unmatched: 0,
  bytesFetched: 0,
  bytesCached: 0,
  lost: 0,
};

/** Resolves to the exit code. @throws CommandError when a request is refused, and what an engine throws */
export async function runJobs(jobs: readonly Job[], options: RequestRunOptions): Promise<number> {
  const run = new RequestRun(options);
  const stopRequests = new StopRequests();
  stopRequests.listenToSignals({ background: false });
  // The first one ends the work, what is there stays; the second one ends the process.
  void stopRequests.first.then((reason) => run.stop(reason));
  void stopRequests.second.then(({ exitCode }) => process.exit(exitCode));
  return run.all(jobs);
}

class RequestRun {
  readonly #options: RequestRunOptions;
  readonly #aborter = createAborter();
  readonly #progress: Progress;
  /** Of the jobs that have ended. */
  #sum = NOTHING;
  #current = NO_PROGRESS;
  #isLast = false;
  #stopped: StopReason | undefined;

  constructor(options: RequestRunOptions) {
    this.#options = options;
    const style = progressStyle({ json: options.json, isTerminal: process.stdout.isTTY });
    this.#progress = new Progress({ clock: systemClock, output: process.stdout }, style, () => this.#view());
  }

  stop(reason: StopReason): void {
    this.#stopped = reason;
    this.#aborter.abort();
  }

  async all(jobs: readonly Job[]): Promise<number> {
    this.#progress.start();
    try {
      for (const [at, job] of jobs.entries()) {
        this.#isLast = at === jobs.length - 1;
        if (!this.#aborter.signal.aborted) await this.#one(job);
      }
    } finally {
      this.#progress.stop();
    }
    return this.#end();
  }

  async #one({ target, selections }: Job): Promise<void> {
    const request = this.#options.makeRequest(selections);
    let ended = false;
    const onMessage = (message: Message) => {
      ended ||= message.event === 'end';
      this.#take(message);
    };
    try {
      await this.#serve(target, request, onMessage);
    } catch (error) {
      if (!this.#aborter.signal.aborted) throw error;
    }
    if (ended || this.#aborter.signal.aborted) return;
    throw new CommandError(EXIT.unexpected, `${nameOf(target)} ended before the work was done; try again`);
  }

  async #serve(target: Target, request: BucketRequest, onMessage: (message: Message) => void): Promise<void> {
    const { signal } = this.#aborter;
    if (target.kind === 'engine') {
      const { serveHere } = await import('./request-engine.js');
      await serveHere(request, target.config, { signal, send: async (message) => onMessage(message) });
      return;
    }
    const { mountpoint, pid } = target.report;
    const socket = findSockets(this.#options.place, mountpoint).find((found) => found.pid === pid);
    if (socket === undefined) throw new CommandError(EXIT.notMounted, `${nameOf(target)} has ended`);
    let failure: unknown;
    await callDaemon(socket.path, request, {
      signal,
      onMessage: (message) => {
        try {
          onMessage(message as unknown as Message);
        } catch (error) {
          failure ??= error;
        }
      },
    });
    if (failure !== undefined) throw failure;
  }

  #take(message: Message): void {
    switch (message.event) {
      case 'progress':
        this.#current = message;
        return;
      case 'file':
        return this.#progress.event({ ...message }, { problem: problemOf(message) });
      case 'pinned':
      case 'unpinned':
        return this.#progress.event({ ...message }, { line: `${message.event} ${message.key}` });
      case 'unmatched': {
        const problem = this.#options.notFound(message.selection);
        return this.#progress.event({ ...message }, { problem });
      }
      case 'end':
        this.#sum = sumOf(this.#sum, message);
        this.#current = NO_PROGRESS;
        return;
      case 'refused':
        throw new CommandError(message.exitCode, message.message);
      default:
        return unreachable(message);
    }
  }

  #view(): ProgressView {
    const { files, bytes, bytesFetched, fetched, cached, failed } = this.#sum;
    const { filesTotal, bytesTotal, ...now } = this.#current;
    const isTotal = this.#isLast && filesTotal !== null && bytesTotal !== null;
    return {
      filesDone: fetched + cached + failed + now.filesDone,
      filesTotal: isTotal ? files + filesTotal : undefined,
      bytesDone: bytes + now.bytesDone,
      bytesTotal: isTotal ? bytes + bytesTotal : undefined,
      bytesFetched: bytesFetched + now.bytesFetched,
      running: now.running,
    };
  }

  #end(): number {
    const { failed, unmatched, lost } = this.#sum;
    const stopped = this.#stopped;
    const isComplete = stopped === undefined && failed === 0 && unmatched === 0 && lost === 0;
    if (this.#options.json) {
      printLine(JSON.stringify({ event: 'summary', complete: isComplete, ...this.#sum }));
    } else {
      printLine(`${stopped === undefined ? '' : 'Stopped. '}${this.#options.summarise(this.#sum)}`);
    }
    if (stopped !== undefined) return stopped.exitCode;
    return isComplete ? EXIT.ok : EXIT.incomplete;
  }
}

function nameOf(target: Target): string {
  return target.kind === 'engine'
    ? 'the engine'
    : `the daemon of ${target.report.mountpoint} (pid ${target.report.pid})`;
}

function problemOf({ key, result, problem }: FileMessage): string | undefined {
  return result === 'failed' ? `${key}: ${problem ?? 'failed'}` : undefined;
}

function sumOf(a: RunSummary, b: RunSummary): RunSummary {
  const sums = Object.keys(NOTHING).map((name) => {
    const field = name as keyof RunSummary;
    return [field, a[field] + b[field]] as const;
  });
  return Object.fromEntries(sums) as unknown as RunSummary;
}
