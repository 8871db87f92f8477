/**
 * How far a long command has come: bars in a terminal, a line now and then where the output is read later, or JSON lines
 * for programs. Used by the commands that move many files (`sync`, `warm`). The command tells events as they happen; what
 * is under way is asked of it whenever the picture is drawn, so that no byte that arrives costs a call.
 */
import { RateMeter } from '../observability/metrics.js';
import type { CancelTimer, Clock } from '../runtime/clock.js';
import { printable, printError } from './output.js';
import { overallLine, picture } from './progress-text.js';
import type { Pace } from './progress-text.js';

/** What is under way. Totals are undefined while they are not known. */
export interface ProgressView {
  readonly filesDone: number;
  readonly filesTotal: number | undefined;
  /** Bytes of the total that are there, wherever they came from. */
  readonly bytesDone: number;
  readonly bytesTotal: number | undefined;
  /** Bytes that came over the network so far: these make the rate. */
  readonly bytesFetched: number;
  /** Files that are worked on now, the oldest first. */
  readonly running: readonly RunningFile[];
}

export interface RunningFile {
  readonly name: string;
  readonly bytesDone: number;
  readonly size: number;
}

export type ProgressStyle = 'bars' | 'lines' | 'json';

/** Standard output, or what a test brings. */
export interface ProgressOutput {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

/** Something that happened: `event` names it; all of it goes to programs as one line of JSON. */
export interface ProgressEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** What people are told of an event. Control characters, which keys may hold, are made harmless on the way. */
export interface ProgressWords {
  readonly line?: string | undefined;
  /** Goes to standard error, as `sluice: …`. */
  readonly problem?: string | undefined;
}

/** A picture ten times a second moves smoothly; a line every ten seconds fills no log. */
const INTERVAL_MS: Readonly<Record<ProgressStyle, number>> = { bars: 100, lines: 10_000, json: 1000 };
/** An ordinary terminal, where its size is not known. */
const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;
const FILES_SHOWN_MAX = 8;

export function progressStyle(options: {
  readonly json: boolean;
  readonly isTerminal: boolean;
}): ProgressStyle {
  if (options.json) return 'json';
  return options.isTerminal ? 'bars' : 'lines';
}

export class Progress {
  readonly #clock: Clock;
  readonly #output: ProgressOutput;
  readonly #style: ProgressStyle;
  readonly #view: () => ProgressView;
  readonly #rate: RateMeter;
  /** When each running file was seen first, and with how much of it. */
  #seen = new Map<string, { readonly atMs: number; readonly bytes: number }>();
  #bytesFetched = 0;
  #linesDrawn = 0;
  #cancelTimer: CancelTimer | undefined;

  constructor(
    deps: { readonly clock: Clock; readonly output: ProgressOutput },
    style: ProgressStyle,
    view: () => ProgressView,
  ) {
    this.#clock = deps.clock;
    this.#output = deps.output;
    this.#style = style;
    this.#view = view;
    this.#rate = new RateMeter(deps.clock);
  }

  /** Shows how far it has come from now on, until `stop`. */
  start(): void {
    if (this.#style === 'bars') this.#draw();
    this.#cancelTimer = this.#clock.after(INTERVAL_MS[this.#style], () => {
      if (this.#style !== 'bars') this.#report();
      this.start();
    });
  }

  event(event: ProgressEvent, { line, problem }: ProgressWords = {}): void {
    if (this.#style === 'json') {
      this.#output.write(`${JSON.stringify(event)}\n`);
      return;
    }
    if (line === undefined && problem === undefined) return;
    this.#clear();
    if (line !== undefined) this.#output.write(`${printable(line)}\n`);
    if (problem !== undefined) printError(problem);
    if (this.#style === 'bars' && this.#cancelTimer !== undefined) this.#draw();
  }

  /** Takes the bars away. Idempotent. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#clear();
  }

  #report(): void {
    const view = this.#view();
    const pace = this.#paceOf(view);
    if (this.#style === 'lines') {
      this.#output.write(`${overallLine(view, pace.bytesPerSecond)}\n`);
      return;
    }
    const { running, ...totals } = view;
    const bytesPerSecond = Math.round(pace.bytesPerSecond);
    this.#output.write(`${JSON.stringify({ event: 'progress', ...totals, bytesPerSecond, running })}\n`);
  }

  #draw(): void {
    const view = this.#view();
    const { columns, rows } = this.#output;
    const filesMax = Math.min(FILES_SHOWN_MAX, (rows || ROWS_DEFAULT) - 3);
    // The last column stays free: some terminals break the line there.
    const size = { columns: (columns || COLUMNS_DEFAULT) - 1, filesMax };
    const lines = picture(view, this.#paceOf(view), size);
    this.#clear();
    this.#output.write(lines.map((line) => `${line}\n`).join(''));
    this.#linesDrawn = lines.length;
  }

  #clear(): void {
    if (this.#linesDrawn > 0) this.#output.write(`\x1b[${this.#linesDrawn}A\r\x1b[J`);
    this.#linesDrawn = 0;
  }

  #paceOf({ bytesFetched, running }: ProgressView): Pace {
    this.#rate.add(Math.max(0, bytesFetched - this.#bytesFetched));
    this.#bytesFetched = bytesFetched;
    const nowMs = this.#clock.nowMs();
    const seen = running.map(
      ({ name, bytesDone }) => [name, this.#seen.get(name) ?? { atMs: nowMs, bytes: bytesDone }] as const,
    );
    this.#seen = new Map(seen);
    return {
      bytesPerSecond: this.#rate.perSecond(),
      ofFile: ({ name, bytesDone }) => {
        const { atMs = nowMs, bytes = bytesDone } = this.#seen.get(name) ?? {};
        return nowMs > atMs ? Math.max(0, ((bytesDone - bytes) * 1000) / (nowMs - atMs)) : 0;
      },
    };
  }
}
