/**
 * What the server did, for tests and benchmarks: requests and body bytes, in total, per operation and per key, and
 * the byte ranges that were asked for. Bytes of answers count when they are handed to the socket, so that a reading
 * taken during a response already has them; bytes of uploads when they arrive.
 */
import type { OperationName } from './operation-names.js';

export interface Tally {
  readonly requests: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** One GET: what was to be sent, as a range of the object, and how much of it was. */
export interface GetRecord {
  readonly start: number;
  readonly end: number;
  readonly status: number;
  readonly bytesSent: number;
}

export interface CountersSnapshot extends Tally {
  readonly connections: number;
  /** Open at once at most, and carrying a request at once at most. */
  readonly connectionsOpenMax: number;
  readonly connectionsBusyMax: number;
  readonly operations: Readonly<Record<string, Tally>>;
  /** By `bucket/key`. */
  readonly keys: Readonly<Record<string, Tally>>;
  /** Requests for keys or ranges beyond the limits, which are in the totals only. */
  readonly requestsNotDetailed: number;
}

type Mutable<T> = { -readonly [P in keyof T]: T[P] };

/** ~100 bytes each; a test that lists 100,000 keys and reads them all is still detailed. */
const KEYS_MAX = 250_000;
const GET_RECORDS_MAX = 250_000;

export class Counters {
  #total = emptyTally();
  #connections = 0;
  readonly #open = new Gauge();
  readonly #busy = new Gauge();
  #requestsNotDetailed = 0;
  #getRecords = 0;
  readonly #operations = new Map<OperationName, Mutable<Tally>>();
  readonly #keys = new Map<string, Mutable<Tally>>();
  readonly #gets = new Map<string, Mutable<GetRecord>[]>();

  get requests(): number {
    return this.#total.requests;
  }

  get bytesSent(): number {
    return this.#total.bytesSent;
  }

  get bytesReceived(): number {
    return this.#total.bytesReceived;
  }

  /** Connections opened since the start or the last reset. */
  get connections(): number {
    return this.#connections;
  }

  /** Most connections that were open at once since then. */
  get connectionsOpenMax(): number {
    return this.#open.highest;
  }

  /** Most requests that were under way at once since then: HTTP/1.1 carries one at a time on a connection. */
  get connectionsBusyMax(): number {
    return this.#busy.highest;
  }

  operation(name: OperationName): Tally {
    return { ...(this.#operations.get(name) ?? emptyTally()) };
  }

  key(bucket: string, key: string): Tally {
    return { ...(this.#keys.get(`${bucket}/${key}`) ?? emptyTally()) };
  }

  /** The GETs of an object in the order their answers began. */
  gets(bucket: string, key: string): readonly GetRecord[] {
    return (this.#gets.get(`${bucket}/${key}`) ?? []).map((record) => ({ ...record }));
  }

  snapshot(): CountersSnapshot {
    return {
      ...this.#total,
      connections: this.#connections,
      connectionsOpenMax: this.#open.highest,
      connectionsBusyMax: this.#busy.highest,
      operations: Object.fromEntries([...this.#operations].map(([name, tally]) => [name, { ...tally }])),
      keys: Object.fromEntries([...this.#keys].map(([name, tally]) => [name, { ...tally }])),
      requestsNotDetailed: this.#requestsNotDetailed,
    };
  }

  /** Requests under way go on counting into what they were counted in, which nobody sees any more. */
  reset(): void {
    this.#total = emptyTally();
    this.#connections = 0;
    this.#open.reset();
    this.#busy.reset();
    this.#requestsNotDetailed = 0;
    this.#getRecords = 0;
    this.#operations.clear();
    this.#keys.clear();
    this.#gets.clear();
  }

  connectionOpened(): void {
    this.#connections++;
    this.#open.add(1);
  }

  connectionClosed(): void {
    this.#open.add(-1);
  }

  exchangeBegun(): void {
    this.#busy.add(1);
  }

  exchangeEnded(): void {
    this.#busy.add(-1);
  }

  /** For a request of which nothing is known yet. */
  unidentified(): RequestMeter {
    return new RequestMeter([], () => undefined);
  }

  /** Counts a request and returns where its bytes are counted. */
  requestBegun(operation: OperationName, bucket: string | undefined, key: string | undefined): RequestMeter {
    const tallies = [this.#total, tallyOf(this.#operations, operation)];
    const name = bucket !== undefined && key !== undefined ? `${bucket}/${key}` : undefined;
    if (name !== undefined && (this.#keys.has(name) || this.#keys.size < KEYS_MAX))
      tallies.push(tallyOf(this.#keys, name));
    else if (name !== undefined) this.#requestsNotDetailed++;
    for (const tally of tallies) tally.requests++;
    return new RequestMeter(tallies, (record) => this.#addGet(name ?? '', record));
  }

  #addGet(name: string, record: Mutable<GetRecord>): void {
    if (++this.#getRecords > GET_RECORDS_MAX) {
      this.#requestsNotDetailed++;
      return;
    }
    const records = this.#gets.get(name);
    if (records === undefined) this.#gets.set(name, [record]);
    else records.push(record);
  }
}

/** How many there are, and how many there were at most since the last reset. */
class Gauge {
  #now = 0;
  #highest = 0;

  get highest(): number {
    return this.#highest;
  }

  add(change: 1 | -1): void {
    this.#now += change;
    this.#highest = Math.max(this.#highest, this.#now);
  }

  reset(): void {
    this.#highest = this.#now;
  }
}

/** Counts the bytes of one request. */
export class RequestMeter {
  readonly #tallies: readonly Mutable<Tally>[];
  readonly #addGet: (record: Mutable<GetRecord>) => void;
  #get: Mutable<GetRecord> | undefined;

  constructor(tallies: readonly Mutable<Tally>[], addGet: (record: Mutable<GetRecord>) => void) {
    this.#tallies = tallies;
    this.#addGet = addGet;
  }

  /** The answer to a GetObject begins; `[start, end)` of the object is to be sent. */
  getBegun(start: number, end: number, status: number): void {
    this.#get = { start, end, status, bytesSent: 0 };
    this.#addGet(this.#get);
  }

  sent(bytes: number): void {
    for (const tally of this.#tallies) tally.bytesSent += bytes;
    if (this.#get !== undefined) this.#get.bytesSent += bytes;
  }

  received(bytes: number): void {
    for (const tally of this.#tallies) tally.bytesReceived += bytes;
  }
}

function emptyTally(): Mutable<Tally> {
  return { requests: 0, bytesSent: 0, bytesReceived: 0 };
}

function tallyOf<K>(tallies: Map<K, Mutable<Tally>>, name: K): Mutable<Tally> {
  let tally = tallies.get(name);
  if (tally === undefined) tallies.set(name, (tally = emptyTally()));
  return tally;
}
