/** Lookups, listings, changes, opens and what the kernel forgets in random order, against a model of the kernel. */
import fc from 'fast-check';
import t from 'tap';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { FilesystemRig, TTL_MS } from './filesystem-rig.js';
import { KernelModel } from './kernel-model.js';

const KEYS = ['a', 'b', 'd', 'd/', 'd/x', 'd/y', 'd/e/z'];
const PATHS = ['a', 'b', 'd', 'd/x', 'd/y', 'd/e', 'd/e/z'];
const LIMITS = { unpinnedNodesMax: 3, cachedEntriesMax: 4 };

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('put' as const), key: fc.constantFrom(...KEYS), size: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key: fc.constantFrom(...KEYS) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, TTL_MS / 2, TTL_MS) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('lookup' as const), path: fc.constantFrom(...PATHS) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('list' as const), path: fc.constantFrom('', 'd', 'd/e') }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('forget' as const),
      which: fc.nat(9),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('open' as const, 'release' as const, 'read' as const),
      which: fc.nat(9),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('surplus' as const), node: fc.integer({ min: 1, max: 20 }) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function pick(values: readonly number[], which: number): number | undefined {
  return values[which % values.length];
}

/** A filesystem, the kernel above it, and the files that are open. */
class World {
  readonly rig = new FilesystemRig({ versionsApart: true, limits: LIMITS });
  readonly kernel = new KernelModel(this.rig.filesystem);
  readonly handles: number[] = [];

  async take(step: Step): Promise<void> {
    const { rig, kernel, handles } = this;
    switch (step.do) {
      case 'put':
        rig.objects.put(step.key, 'x'.repeat(step.size));
        return;
      case 'delete':
        return rig.objects.delete(step.key);
      case 'advance':
        return rig.clock.advance(step.ms);
      case 'lookup':
        await this.lookup(step.path);
        return;
      case 'list':
        return this.list(step.path);
      case 'forget': {
        const node = pick(kernel.nodes, step.which);
        return node === undefined ? undefined : kernel.forget(node, step.count);
      }
      case 'surplus':
        // Of a node that it has forgotten already, or never knew.
        if (!kernel.nodes.includes(step.node)) kernel.forget(step.node, 1);
        return;
      case 'open': {
        const node = pick(kernel.nodes, step.which);
        const handle = node === undefined ? undefined : this.open(node);
        if (handle !== undefined) handles.push(handle);
        return;
      }
      case 'release':
        for (const handle of handles.splice(step.which % 4, 1)) rig.filesystem.release(handle);
        return;
      case 'read': {
        const handle = pick(handles, step.which);
        // Fails as stale when the object was replaced.
        if (handle !== undefined) await rig.read(handle).catch(() => {});
        return;
      }
    }
  }

  /** As a path walk does: each name on the way is looked up and told. */
  async lookup(path: string): Promise<number | undefined> {
    let parent: number = ROOT_NODE;
    for (const name of path === '' ? [] : path.split('/')) {
      const entry = await this.rig.filesystem.lookup(parent, name).catch(() => undefined);
      if (entry === undefined) return undefined;
      if (!this.kernel.told(parent, name, entry)) throw new Error(`${path} was found and cannot be told`);
      parent = entry.node;
    }
    return parent;
  }

  async list(path: string): Promise<void> {
    const node = await this.lookup(path);
    const entries = node === undefined ? [] : await this.rig.filesystem.readDirectory(node).catch(() => []);
    for (const entry of entries) {
      const isKnown = this.rig.filesystem.getAttributes(entry.node) !== undefined;
      if (this.kernel.told(node!, entry.name, entry) !== isKnown)
        throw new Error(`${entry.name} was listed, and ${isKnown ? 'cannot' : 'can'} be told`);
    }
  }

  open(node: number): number | undefined {
    try {
      return this.rig.filesystem.open(node, { write: false });
    } catch {
      return undefined;
    }
  }

  get nodesMax(): number {
    const { unpinnedNodesMax, cachedEntriesMax } = LIMITS;
    return 1 + this.kernel.nodes.length + this.handles.length + unpinnedNodesMax + cachedEntriesMax;
  }

  /** The kernel forgets, everything is closed, and other names take the place of what was remembered. */
  async forgetAll(): Promise<void> {
    const { rig, kernel, handles } = this;
    kernel.forgetAll();
    for (const handle of handles) rig.filesystem.release(handle);
    for (const key of KEYS) rig.objects.delete(key);
    const others = ['u', 'v', 'w'];
    // First as one listing that fills their memory, then as single names that fill theirs.
    for (const look of [
      () => rig.names(),
      () => Promise.all(others.map((name) => rig.find(name).catch(() => {}))),
    ]) {
      for (const key of others) rig.objects.put(key, key);
      rig.clock.advance(TTL_MS);
      await look();
      for (const key of others) rig.objects.delete(key);
      rig.clock.advance(TTL_MS);
      await look();
    }
  }
}

t.test(
  'whatever happens, the kernel relies on nothing that is forgotten or outdated, and nothing stays',
  async (t) => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const world = new World();
      for (const step of steps) {
        await world.take(step);
        const mistakes = world.kernel.mistakes();
        if (mistakes.length > 0) throw new Error(mistakes.join(', '));
        const { nodes } = world.rig.filesystem.stats();
        if (nodes > world.nodesMax) throw new Error(`${nodes} nodes, at most ${world.nodesMax} are needed`);
      }
      await world.forgetAll();
      const { nodes, handles } = world.rig.filesystem.stats();
      if (nodes !== 1 || handles !== 0) throw new Error(`${nodes} nodes and ${handles} handles stay`);
    });
    await fc.assert(property, { numRuns: 150 });
    t.pass('for all orders');
  },
);
