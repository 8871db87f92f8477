/**
 * One file, opened in every order and mode (plain, direct, mapped), with handles and mappings held, while it fills,
 * completes and is replaced: all sequences of steps up to a length, on one mount of the native driver. After each step
 * every handle and mapping is read as far as its version has arrived: the bytes are that version's, never an error, never
 * zeros, never another version's. Beyond that a replaced version answers ESTALE.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { fillPattern } from '../../src/runtime/pattern.js';
import { AnsweringChild } from '../support/child-process.js';
import { FileActor } from '../support/file-actor.js';
import { emptyDirectory } from '../fuse/fuse-rig.js';
import type { OrdersAnswer, OrdersCommand } from './open-orders-child.js';

/** Eleven pages, the last of five bytes. */
const SIZE = 40 * 1024 + 5;
const HALF = 20 * 1024;
const STEPS_MAX = Number(process.env['ORDERS_STEPS'] ?? 5);
const ESTALE = 116;

/** open, open with O_DIRECT, map the newest handle, close the oldest or newest, unmap the oldest, arrive in full, replace */
type Step = 'o' | 'd' | 'm' | 'c' | 'C' | 'u' | 'a' | 'r';
const STEPS: readonly Step[] = ['o', 'd', 'm', 'c', 'C', 'u', 'a', 'r'];
const HANDLES_MAX = 3;
const MAPS_MAX = 2;

/** What can follow, by counting alone. */
function sequences(length: number): Step[][] {
  const found: Step[][] = [];
  const extend = (steps: readonly Step[], handles: number, maps: number, replaced: number, full: boolean) => {
    if (steps.length === length) {
      found.push([...steps]);
      return;
    }
    for (const step of STEPS) {
      const next = [...steps, step];
      if (step === 'o' || step === 'd') {
        if (handles < HANDLES_MAX) extend(next, handles + 1, maps, replaced, full);
      } else if (steps.length === 0) continue;
      else if (step === 'm') {
        if (handles > 0 && maps < MAPS_MAX) extend(next, handles, maps + 1, replaced, full);
      } else if (step === 'c') {
        if (handles > 0) extend(next, handles - 1, maps, replaced, full);
      } else if (step === 'C') {
        if (handles > 1) extend(next, handles - 1, maps, replaced, full);
      } else if (step === 'u') {
        if (maps > 0) extend(next, handles, maps - 1, replaced, full);
      } else if (step === 'a') {
        if (!full) extend(next, handles, maps, replaced, true);
      } else if (replaced < 2) extend(next, handles, maps, replaced + 1, full);
    }
  };
  extend([], 0, 0, 0, false);
  return found;
}

interface Held {
  readonly slot: number;
  readonly version: number;
  /** How far the version had arrived when it was replaced; all of it may have come since. */
  cutAt: number | undefined;
}

const patterns = new Map<number, Buffer>();
function patternOf(seed: number): Buffer {
  let bytes = patterns.get(seed);
  if (!bytes) {
    bytes = Buffer.from(fillPattern(new Uint8Array(SIZE), seed, 0));
    patterns.set(seed, bytes);
  }
  return bytes;
}

/** With O_DIRECT, file systems take whole blocks only, also behind the end. */
function lengthFor(verb: 'read' | 'copy', start: number, end: number): number {
  return verb === 'read' ? Math.ceil((end - start) / 4096) * 4096 : end - start;
}

class Walk {
  readonly #child: AnsweringChild<OrdersCommand, OrdersAnswer>;
  readonly #actor: FileActor;
  readonly #path: string;
  readonly #key: string;
  readonly #handles: Held[] = [];
  readonly #maps: Held[] = [];
  #version = 1;
  #letBytes = HALF;
  modes = new Set<string>();

  constructor(
    child: AnsweringChild<OrdersCommand, OrdersAnswer>,
    actor: FileActor,
    mountpoint: string,
    key: string,
  ) {
    this.#child = child;
    this.#actor = actor;
    this.#path = `${mountpoint}/${key}`;
    this.#key = key;
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#put();
    await this.#child.ask({ do: 'let', key: this.#key, bytes: this.#letBytes });
    for (const step of steps) {
      await this.#take(step);
      await this.#checkAll();
    }
    for (const { slot } of this.#maps) await this.#ok(`unmap ${slot}`);
    for (const { slot } of this.#handles) await this.#ok(`close ${slot}`);
  }

  async #take(step: Step): Promise<void> {
    switch (step) {
      case 'o':
      case 'd': {
        const slot = this.#free(this.#handles);
        await this.#ok(`open ${slot} ${step === 'o' ? 'plain' : 'direct'} ${this.#path}`);
        this.#handles.push({ slot, version: this.#version, cutAt: undefined });
        const { cached = 0, passthrough = 0 } = await this.#child.ask({ do: 'modes' });
        if (cached > 0) this.modes.add('cached');
        if (passthrough > 0) this.modes.add('passthrough');
        return;
      }
      case 'm': {
        const handle = this.#handles.at(-1)!;
        const slot = this.#free(this.#maps);
        await this.#ok(`map ${handle.slot} ${slot}`);
        this.#maps.push({ ...handle, slot });
        return;
      }
      case 'c':
      case 'C':
        await this.#ok(`close ${(step === 'c' ? this.#handles.shift() : this.#handles.pop())!.slot}`);
        return;
      case 'u':
        await this.#ok(`unmap ${this.#maps.shift()!.slot}`);
        return;
      case 'a':
        this.#letBytes = SIZE;
        await this.#child.ask({ do: 'let', key: this.#key, bytes: SIZE });
        return;
      case 'r':
        for (const held of [...this.#handles, ...this.#maps]) held.cutAt ??= this.#letBytes;
        this.#version += 1;
        await this.#put();
    }
  }

  async #put(): Promise<void> {
    await this.#child.ask({ do: 'put', key: this.#key, seed: this.#version, size: SIZE });
  }

  #free(held: readonly Held[]): number {
    return [0, 1, 2].find((slot) => held.every((other) => other.slot !== slot))!;
  }

  async #checkAll(): Promise<void> {
    // The first page asks for the rest.
    for (const held of this.#handles) await this.#check('read', held, 0, 4096);
    await this.#child.ask({ do: 'settle', key: this.#key });
    for (const held of this.#handles) await this.#checkHeld('read', held);
    for (const held of this.#maps) await this.#checkHeld('copy', held);
  }

  async #checkHeld(verb: 'read' | 'copy', held: Held): Promise<void> {
    const sure = held.cutAt ?? this.#letBytes;
    await this.#check(verb, held, 0, sure);
    if (held.cutAt === undefined || sure === SIZE || this.#letBytes < SIZE) return;
    // Replaced before it was complete: what came since is right, what did not is refused.
    const rest = await this.#actor.tell(`${verb} ${held.slot} ${HALF} ${lengthFor(verb, HALF, SIZE)}`);
    if (rest.kind === 'ok') this.#compare(held, HALF, rest.bytes);
    else if (rest.kind === 'errno' && rest.errno !== ESTALE) throw new Error(`errno ${rest.errno}`);
  }

  async #check(verb: 'read' | 'copy', held: Held, start: number, end: number): Promise<void> {
    const answer = await this.#actor.tell(`${verb} ${held.slot} ${start} ${lengthFor(verb, start, end)}`);
    if (answer.kind !== 'ok')
      throw new Error(`${verb} of version ${held.version}: ${JSON.stringify(answer)}`);
    if (answer.bytes.length !== end - start) throw new Error(`${verb} gave ${answer.bytes.length} bytes`);
    this.#compare(held, start, answer.bytes);
  }

  #compare({ version }: Held, offset: number, bytes: Buffer): void {
    if (patternOf(version).compare(bytes, 0, bytes.length, offset, offset + bytes.length) === 0) return;
    throw new Error(`bytes of version ${version} from ${offset} on are not its own`);
  }

  async #ok(command: string): Promise<void> {
    const answer = await this.#actor.tell(command);
    if (answer.kind !== 'ok') throw new Error(`${command}: ${JSON.stringify(answer)}`);
  }
}

t.test(`all orders of up to ${STEPS_MAX} steps`, { timeout: 280_000 }, async (t) => {
  const mountpoint = await emptyDirectory(t);
  const script = fileURLToPath(new URL('open-orders-child.js', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'sluice-orders-'));
  const child = new AnsweringChild<OrdersCommand, OrdersAnswer>(script, [mountpoint, folder]);
  const actor = new FileActor();
  t.teardown(async () => {
    actor.kill();
    child.kill('SIGKILL');
    await child.exit;
    rmSync(folder, { recursive: true });
  });
  t.same(await child.next(), {}, 'mounts');

  const all = sequences(STEPS_MAX);
  t.ok(all.length > 400, `${all.length} sequences`);
  const modes = new Set<string>();
  let walked = 0;
  for (const steps of all) {
    const walk = new Walk(child, actor, mountpoint, `k${walked}`);
    try {
      await walk.run(steps);
    } catch (error) {
      t.fail(`${steps.join(' ')}: ${error instanceof Error ? error.message : String(error)}`);
      break;
    }
    for (const mode of walk.modes) modes.add(mode);
    walked += 1;
  }
  t.equal(walked, all.length, 'every sequence passed');
  t.same(await child.ask({ do: 'modes' }), { cached: 0, passthrough: 0 }, 'no handle is left');
  const expected = process.geteuid?.() === 0 ? ['cached', 'passthrough'] : ['cached'];
  t.same([...modes].sort(), expected, 'both modes were seen');
  t.same(await child.ask({ do: 'unmount' }), {});
  t.equal((await child.exit).code, 0);
});
