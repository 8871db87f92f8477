/**
 * The owner's side of one connection: opens at the PeerHost what the follower opens, passes on what its readers want, and
 * tells it what becomes of that. Made by PeerServer for each follower.
 *
 * Promises: all that the follower has open is closed when its connection ends, whoever ended it. What is to be told is a
 * state of the link (`advanced` yes or no, the answers to demands), told once the follower has taken what was told
 * before. A follower that says what makes no sense, or holds more than the limits below, is cut off; others are not
 * touched by that.
 */
import type { Socket } from 'node:net';
import { unreachable } from '../../runtime/assert.js';
import type { ByteRange } from '../../runtime/range.js';
import { parseFollowerMessage, PEER_PROTOCOL, shortText } from './messages.js';
import type { FollowerMessage, OwnerMessage } from './messages.js';
import { PeerConnection } from './peer-connection.js';
import type { CopyEnd, PeerHost, PeerStore, PeerStoreListener } from './peers.js';

/** Versions that one follower has open at once: as many as a mount keeps stores. */
const LINKS_MAX = 16_384;
/** Answers of one link that the follower has not taken: one for each of its readers that wait, tens. */
const ANSWERS_MAX = 4096;

export interface PeerSessionDeps {
  readonly host: PeerHost;
  /** Called once. `isMisbehaviour`: the follower was cut off. */
  readonly onEnd: (reason: string, isMisbehaviour: boolean) => void;
}

export class PeerSession {
  readonly #connection: PeerConnection;
  readonly #deps: PeerSessionDeps;
  readonly #links = new Map<number, ServedLink>();
  /** Links with something to tell, in the order in which that came up. */
  readonly #due = new Set<ServedLink>();
  /** Said before anything else. */
  #greeting: OwnerMessage[] = [{ kind: 'hello', protocol: PEER_PROTOCOL }];
  #hasGreeted = false;
  #heard = 0;
  #heardTold = 0;

  constructor(socket: Socket, deps: PeerSessionDeps) {
    this.#deps = deps;
    this.#connection = new PeerConnection(socket, {
      take: () => this.#take(),
      onMessage: (line) => this.#received(line),
      onEnd: (reason, isMisbehaviour) => this.#ended(reason, isMisbehaviour),
    });
    this.#connection.due();
  }

  get linkCount(): number {
    return this.#links.size;
  }

  end(reason: string): void {
    this.#connection.end(reason);
  }

  #received(line: string): void {
    const message = parseFollowerMessage(line);
    if (message === undefined) return this.#cutOff(`it said ${JSON.stringify(line.slice(0, 100))}`);
    if (message.kind === 'hello') return this.#greeted(message.protocol);
    if (!this.#hasGreeted) return this.#cutOff('it did not begin with hello');
    if (message.kind === 'open') return this.#open(message);
    const link = this.#links.get(message.link);
    if (link !== undefined && 'range' in message && message.range.end > link.size)
      return this.#cutOff(`it wants what lies beyond an object of ${link.size} bytes`);
    // Of a link that has ended here: that is on its way to the follower.
    if (link !== undefined) this.#pass(message, link);
    if ('number' in message) {
      this.#heard = Math.max(this.#heard, message.number);
      this.#connection.due();
    }
  }

  #greeted(protocol: number): void {
    if (this.#hasGreeted) return this.#cutOff('it said hello twice');
    this.#hasGreeted = true;
    // It reads our hello and says why in its log.
    if (protocol !== PEER_PROTOCOL) this.end(`it speaks protocol ${protocol}, this daemon ${PEER_PROTOCOL}`);
  }

  #open({ link: id, version }: Extract<FollowerMessage, { kind: 'open' }>): void {
    if (this.#links.has(id)) return this.#cutOff(`it opened link ${id} twice`);
    if (this.#links.size === LINKS_MAX) return this.#cutOff(`it has ${LINKS_MAX} versions open`);
    const link = new ServedLink(id, version.size, {
      onDue: () => {
        this.#due.add(link);
        this.#connection.due();
      },
      // Later: the host is in the middle of telling.
      onFlood: () => queueMicrotask(() => this.#cutOff('it does not take what it is told')),
    });
    this.#links.set(id, link);
    link.begin(this.#deps.host.open(version, link));
  }

  #pass(message: Exclude<FollowerMessage, { kind: 'hello' | 'open' }>, link: ServedLink): void {
    switch (message.kind) {
      case 'observe':
        return link.store?.observe(message.range);
      case 'demand':
        return link.store?.demand(message.range);
      case 'fill':
        return link.store?.fill(message.fill);
      case 'close':
        return this.#forget(link);
      default:
        unreachable(message);
    }
  }

  #take(): OwnerMessage[] {
    const messages = this.#greeting;
    this.#greeting = [];
    if (this.#heard > this.#heardTold) messages.push({ kind: 'heard', number: this.#heard });
    this.#heardTold = this.#heard;
    for (const link of this.#due) {
      messages.push(...link.take());
      if (link.isOver) this.#forget(link);
    }
    this.#due.clear();
    return messages;
  }

  #forget(link: ServedLink): void {
    this.#links.delete(link.id);
    this.#due.delete(link);
    link.close();
  }

  #cutOff(reason: string): void {
    this.#connection.cutOff(reason);
  }

  #ended(reason: string, isMisbehaviour: boolean): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#due.clear();
    this.#deps.onEnd(reason, isMisbehaviour);
  }
}

/** What one link has open at the host, and what its follower is still to be told. */
class ServedLink implements PeerStoreListener {
  readonly id: number;
  /** Of the object: a store knows nothing beyond it. */
  readonly size: number;
  readonly #session: { readonly onDue: () => void; readonly onFlood: () => void };
  #store: PeerStore | undefined;
  #isClosed = false;
  /** What was published before the follower opened the link is told by the first of it. */
  #advanced = true;
  #answers: OwnerMessage[] = [];
  #end: OwnerMessage | undefined;

  constructor(
    id: number,
    size: number,
    session: { readonly onDue: () => void; readonly onFlood: () => void },
  ) {
    this.id = id;
    this.size = size;
    this.#session = session;
  }

  get store(): PeerStore | undefined {
    return this.#store;
  }

  /** Nothing more will be said of it. */
  get isOver(): boolean {
    return this.#end !== undefined;
  }

  begin(store: PeerStore | undefined): void {
    if (store === undefined) return this.gaveUp('it does not fill this copy');
    this.#store = store;
    this.#tell();
  }

  advanced(): void {
    if (this.#advanced) return;
    this.#advanced = true;
    this.#tell();
  }

  arrived(range: ByteRange): void {
    this.#answer({ kind: 'arrived', link: this.id, range });
  }

  failed(range: ByteRange, code: string, message: string): void {
    this.#answer({ kind: 'failed', link: this.id, range, code, message: shortText(message) });
  }

  unfilled(code: string, message: string): void {
    this.#answer({ kind: 'unfilled', link: this.id, code, message: shortText(message) });
  }

  ended(end: CopyEnd, message: string): void {
    this.#end ??= { kind: 'ended', link: this.id, end, message: shortText(message) };
    this.#tell();
  }

  gaveUp(reason: string): void {
    this.#end ??= { kind: 'refused', link: this.id, reason: shortText(reason) };
    this.#tell();
  }

  take(): OwnerMessage[] {
    const messages = this.#answers;
    this.#answers = [];
    if (this.#advanced && this.#store !== undefined) messages.unshift({ kind: 'advanced', link: this.id });
    this.#advanced = false;
    if (this.#end !== undefined) messages.push(this.#end);
    return messages;
  }

  close(): void {
    this.#isClosed = true;
    this.#store?.close();
    this.#store = undefined;
  }

  #answer(message: OwnerMessage): void {
    if (this.#answers.length === ANSWERS_MAX) return this.#session.onFlood();
    this.#answers.push(message);
    this.#tell();
  }

  #tell(): void {
    if (!this.#isClosed) this.#session.onDue();
  }
}
