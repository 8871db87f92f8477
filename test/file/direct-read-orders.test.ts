/** Direct reads, bytes, ends, failures and rests of one store in random order. */
import fc from 'fast-check';
import t from 'tap';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { DirectReadsRig, PAGE, PAGES } from './direct-reads-rig.js';

const page = fc.nat(PAGES - 1);
const pages = fc
  .tuple(page, page)
  .map(([a, b]) => ({ start: Math.min(a, b) * PAGE, end: (Math.max(a, b) + 1) * PAGE }));
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), range: pages }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('tell' as const), count: fc.nat(3) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('publish' as const), range: pages }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat(5),
      result: fc.constantFrom('deadline' as const, 'interrupted' as const, 'failed' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deny' as const), range: pages }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('rest' as const, 'expire' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(rig: DirectReadsRig, step: Step): Promise<void> {
  const { store, target, file } = rig;
  switch (step.do) {
    case 'read':
      file.read(step.range.start, step.range.end);
      return;
    case 'tell':
      return file.tell(step.count);
    case 'publish':
      return rig.publish(step.range.start, step.range.end);
    case 'end': {
      const id = [...file.parked.keys()][step.which];
      if (id !== undefined) file.end(id, step.result);
      return;
    }
    case 'deny': {
      const error = new ObjectStoreError('access_denied', 'no', { operation: 'test' });
      return target.partFailed(step.range, { kind: 'denied', error });
    }
    case 'rest':
      void store.rest();
      return store.wake();
    case 'expire':
      return target.expired('412');
  }
}

t.test(
  'in every order of reads, bytes, ends, failures and rests nothing is missed or left over',
  async (t) => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const rig = new DirectReadsRig();
      rig.session.tracesReads = steps.length % 2 === 0;
      for (const step of steps) {
        await take(rig, step);
        const { violations } = rig.session;
        if (violations.length > 0) throw new Error(violations.join(', '));
      }
      rig.file.tell();
      const problems = rig.problems();
      if (problems.length > 0) throw new Error(problems.join(', '));
      void rig.store.close();
      const { inFlightCount } = rig.reads;
      if (inFlightCount + rig.readsWaiting + rig.clock.pendingTimers > 0)
        throw new Error(`${inFlightCount} reads, ${rig.readsWaiting} waiters, timers left over`);
      if (rig.session.violations.length > 0) throw new Error(rig.session.violations.join(', '));
    });
    await fc.assert(property, { numRuns: 500 });
    t.pass('for all orders');
  },
);
