/**
 * A follower's connection to one owner, shared by the links of all copies that this owner fills. Made by PeerLinks when
 * the first of them is opened.
 *
 * Promises: when the connection ends, or could not be made, every link is `lost` at once, and none is opened any more.
 * What readers want is kept as states of the links until the owner takes it, so that a stopped owner costs no memory. An
 * owner that does not take note of a demand, or of a fill, is said to be `unresponsive` to the links whose demands wait,
 * and to those that demand later, until it does.
 */
import type { Socket } from 'node:net';
import { asError, unreachable } from '../../runtime/assert.js';
import type { CancelTimer, Clock } from '../../runtime/clock.js';
import { FollowedLink } from './followed-link.js';
import { parseOwnerMessage, PEER_PROTOCOL } from './messages.js';
import type { FollowerMessage, OwnerMessage } from './messages.js';
import { PeerConnection } from './peer-connection.js';
import { connectTo } from './peer-socket.js';
import type { CopyLinkListener } from './peers.js';
import type { ObjectVersion } from '../../object-store/object-store.js';

/**
 * A demand is noted within a turn of the owner's event loop, whose longest turns take tens of ms; readers wait 60 s. In
 * two halves: a follower that was itself stopped finds its timer due before it has read what came meanwhile.
 */
export const UNRESPONSIVE_AFTER_MS = 3000;

export interface OwnerConnectionDeps {
  readonly clock: Clock;
  /** Called once, before the links are told, which may open others then. */
  readonly onEnd: (reason: string) => void;
}

export class OwnerConnection {
  readonly #deps: OwnerConnectionDeps;
  readonly #links = new Map<number, FollowedLink>();
  /** Links with something to say, in the order in which that came up. */
  readonly #due = new Set<FollowedLink>();
  #connection: PeerConnection | undefined;
  #greeting: FollowerMessage[] = [{ kind: 'hello', protocol: PEER_PROTOCOL }];
  #hasGreeted = false;
  #hasEnded = false;
  #linkLast = 0;
  #demandLast = 0;
  #heard = 0;
  #cancelWatch: CancelTimer | undefined;
  #isUnresponsive = false;

  constructor(path: string, deps: OwnerConnectionDeps) {
    this.#deps = deps;
    connectTo(path).then(
      (socket) => this.#connected(socket),
      (error: unknown) => this.#ended(`no connection: ${asError(error).message}`),
    );
  }

  open(version: ObjectVersion, listener: CopyLinkListener): FollowedLink {
    this.#linkLast += 1;
    const link: FollowedLink = new FollowedLink(this.#linkLast, version, listener, {
      due: () => {
        this.#due.add(link);
        this.#connection?.due();
      },
      nextDemand: () => {
        this.#demandLast += 1;
        this.#watch();
        if (this.#isUnresponsive) queueMicrotask(() => link.unresponsive());
        return this.#demandLast;
      },
      closed: () => void this.#links.delete(link.id),
    });
    this.#links.set(link.id, link);
    link.begin();
    return link;
  }

  /** Links still open hear nothing more. */
  close(): void {
    this.#links.clear();
    this.#end('this daemon ends');
  }

  #end(reason: string): void {
    if (this.#connection === undefined) this.#ended(reason);
    else this.#connection.end(reason);
  }

  #connected(socket: Socket): void {
    if (this.#hasEnded) {
      socket.destroy();
      return;
    }
    this.#connection = new PeerConnection(socket, {
      take: () => this.#take(),
      onMessage: (line) => this.#received(line),
      onEnd: (reason) => this.#ended(reason),
    });
    this.#connection.due();
  }

  #take(): FollowerMessage[] {
    const messages = this.#greeting;
    this.#greeting = [];
    for (const link of this.#due) messages.push(...link.take());
    this.#due.clear();
    return messages;
  }

  #received(line: string): void {
    const message = parseOwnerMessage(line);
    if (message === undefined) return this.#end(`it said ${JSON.stringify(line.slice(0, 100))}`);
    if (message.kind !== 'hello' && !this.#hasGreeted) return this.#end('it did not begin with hello');
    this.#understand(message);
  }

  #understand(message: OwnerMessage): void {
    switch (message.kind) {
      case 'hello':
        this.#hasGreeted = true;
        if (message.protocol === PEER_PROTOCOL) return;
        return this.#end(`it speaks protocol ${message.protocol}, this daemon ${PEER_PROTOCOL}`);
      case 'heard':
        this.#heard = Math.max(this.#heard, message.number);
        this.#isUnresponsive = false;
        this.#endWatch();
        return this.#watch();
      case 'advanced':
      case 'arrived':
      case 'failed':
      case 'unfilled':
      case 'ended':
      case 'refused':
        // Of a link that was closed here: that is on its way to the owner.
        return this.#links.get(message.link)?.heard(message);
      default:
        unreachable(message);
    }
  }

  /** Has the time run while a demand waits to be taken note of. */
  #watch(): void {
    if (this.#cancelWatch !== undefined || this.#heard >= this.#demandLast || this.#hasEnded) return;
    this.#watchHalf(() => {
      this.#watchHalf((waiting) => {
        this.#isUnresponsive = true;
        for (const link of waiting) link.unresponsive();
      });
    });
  }

  /** Calls `then` with the links that wait still. Who was closed waits no more: perhaps the owner was never told of it. */
  #watchHalf(then: (waiting: readonly FollowedLink[]) => void): void {
    this.#cancelWatch = this.#deps.clock.after(UNRESPONSIVE_AFTER_MS / 2, () => {
      const waiting = [...this.#links.values()].filter(({ lastDemand }) => lastDemand > this.#heard);
      if (waiting.length > 0) return then(waiting);
      this.#heard = this.#demandLast;
      this.#cancelWatch = undefined;
    });
  }

  #endWatch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
  }

  #ended(reason: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#endWatch();
    this.#due.clear();
    this.#deps.onEnd(reason);
    for (const link of this.#links.values()) link.lost(reason);
  }
}
