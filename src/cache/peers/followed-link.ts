/**
 * One copy that another daemon fills, seen from a follower: what its readers want and the owner has not been told yet,
 * and the listener that hears of the rest. Made by OwnerConnection.
 */
import { unreachable } from '../../runtime/assert.js';
import type { ByteRange } from '../../runtime/range.js';
import type { ObjectVersion } from '../../object-store/object-store.js';
import type { FollowerMessage, OwnerMessage } from './messages.js';
import type { CopyFill, CopyLink, CopyLinkListener } from './peers.js';

/** Reads noted and not told yet: more than one burst of requests has streams; of a longer list the latest say enough. */
const OBSERVED_MAX = 32;

export interface FollowedLinkDeps {
  /** There is something to `take`. */
  readonly due: () => void;
  /** Numbers a demand, or a fill. */
  readonly nextDemand: () => number;
  readonly closed: () => void;
}

export class FollowedLink implements CopyLink {
  readonly id: number;
  readonly #version: ObjectVersion;
  readonly #listener: CopyLinkListener;
  readonly #deps: FollowedLinkDeps;
  #state: 'open' | 'closing' | 'over' = 'open';
  #isTold = false;
  #observed: ByteRange[] = [];
  #demanded: ByteRange[] = [];
  #fill: CopyFill | undefined;
  #lastDemand = 0;
  #wasUnresponsive = false;

  constructor(id: number, version: ObjectVersion, listener: CopyLinkListener, deps: FollowedLinkDeps) {
    this.id = id;
    this.#version = version;
    this.#listener = listener;
    this.#deps = deps;
  }

  /** Number of the latest demand or fill. */
  get lastDemand(): number {
    return this.#lastDemand;
  }

  begin(): void {
    this.#deps.due();
  }

  observe(range: ByteRange): void {
    if (this.#state !== 'open') return;
    addRange(this.#observed, range);
    if (this.#observed.length > OBSERVED_MAX) this.#observed.shift();
    this.#deps.due();
  }

  demand(range: ByteRange): void {
    if (this.#state !== 'open') return;
    addRange(this.#demanded, range);
    this.#lastDemand = this.#deps.nextDemand();
    this.#deps.due();
  }

  fill(kind: CopyFill): void {
    if (this.#state !== 'open') return;
    this.#fill = kind;
    this.#lastDemand = this.#deps.nextDemand();
    this.#deps.due();
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#deps.closed();
    this.#deps.due();
  }

  // What the connection calls.

  /** What is to be said: an owner that was not told of the link yet needs not hear that it was closed. */
  take(): FollowerMessage[] {
    const { id: link } = this;
    if (this.#state === 'over' || (this.#state === 'closing' && !this.#isTold)) return [];
    if (this.#state === 'closing') {
      this.#state = 'over';
      return [{ kind: 'close', link }];
    }
    const messages: FollowerMessage[] = [];
    if (!this.#isTold) messages.push({ kind: 'open', link, version: this.#version });
    this.#isTold = true;
    for (const range of this.#observed) messages.push({ kind: 'observe', link, range });
    const number = this.#lastDemand;
    for (const range of this.#demanded) messages.push({ kind: 'demand', link, range, number });
    if (this.#fill !== undefined) messages.push({ kind: 'fill', link, fill: this.#fill, number });
    this.#observed = [];
    this.#demanded = [];
    this.#fill = undefined;
    return messages;
  }

  heard(message: Extract<OwnerMessage, { link: number }>): void {
    switch (message.kind) {
      case 'advanced':
        return this.#listener.advanced();
      case 'arrived':
        return this.#listener.arrived(message.range);
      case 'failed':
        return this.#listener.failed(message.range, message.code, message.message);
      case 'unfilled':
        return this.#listener.unfilled(message.code, message.message);
      case 'ended':
        this.#end();
        return this.#listener.ended(message.end, message.message);
      case 'refused':
        return this.lost(message.reason);
      default:
        unreachable(message);
    }
  }

  lost(reason: string): void {
    this.#end();
    this.#listener.lost(reason);
  }

  unresponsive(): void {
    if (this.#wasUnresponsive || this.#state !== 'open') return;
    this.#wasUnresponsive = true;
    this.#listener.unresponsive();
  }

  #end(): void {
    this.#state = 'over';
    this.#deps.closed();
  }
}

/** Adds `range`, in one with the latest one that it touches: what is read in order becomes one range. */
function addRange(ranges: ByteRange[], range: ByteRange): void {
  const at = ranges.findIndex(({ start, end }) => start <= range.end && range.start <= end);
  const touched = ranges[at];
  if (touched === undefined) {
    ranges.push(range);
    return;
  }
  ranges[at] = { start: Math.min(touched.start, range.start), end: Math.max(touched.end, range.end) };
}
