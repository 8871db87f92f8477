import t from 'tap';
import { documentOf, notAhead, type Circumstances } from '../../scripts/bench-document.js';
import type { Bench } from '../../scripts/bench-kinds.js';
import { Results } from '../../scripts/bench-results.js';

const SPEED = { title: 'read', unit: 'MB/s' } as const;
const DELAY = { title: 'first byte', unit: 'round trips' } as const;

const BENCH: Bench = {
  name: 'cold',
  title: 'Cold reads',
  about: 'One object.',
  variants: ['curl -o'],
  base: 'curl -o',
  prepare: async () => {},
  round: async () => {},
  bars: (results) => [
    { of: 'time ÷ curl', value: results.ratio('read', 'curl -o', 'Sluice'), limit: { atMost: 0.9 } },
    { of: 'speed of light', value: results.median('light', 'Sluice'), limit: { atLeast: 1 } },
  ],
};

const CIRCUMSTANCES: Circumstances = {
  date: '2026-11-21',
  runs: 2,
  cores: 2,
  processor: 'a processor',
  kernel: '6.18',
  memoryGib: 24,
  roundTripMs: 20,
  connectionMib: 60,
  versions: { Sluice: '0.1.0', s3fs: '1.90', rclone: undefined },
  reasons: {},
};

function results(sluice: readonly number[], curl: readonly number[], s3fs: readonly number[]): Results {
  const filled = new Results(['curl -o', 'Sluice', 's3fs', 'rclone']);
  for (const value of curl) filled.add(SPEED, 'curl -o', { value });
  for (const value of sluice) {
    filled.add(SPEED, 'Sluice', { value, cpu: 1.25, peakMib: 150, connections: 8, amplification: 1 });
  }
  for (const value of s3fs) filled.add(SPEED, 's3fs', { value });
  return filled;
}

const document = (of: Results, changes: Partial<Circumstances> = {}) =>
  documentOf([{ bench: BENCH, results: of }], { ...CIRCUMSTANCES, ...changes });

t.test(
  'a row has a line for each variant, with all that was measured, and says who is not installed',
  async (t) => {
    const text = document(results([1200, 1000], [800, 1000], [500, 700]));
    t.match(text, '| read, MB/s | curl -o | 900 | 800 … 1000 | 1.00 |  |  |  |  |\n');
    t.match(text, '|  | Sluice | 1100 | 1000 … 1200 | 1.25 | 1.25 | 150 | 8.00 | 1.00 |\n');
    t.match(text, '|  | s3fs | 600 | 500 … 700 | 0.66 |  |  |  |  |\n');
    t.match(text, '|  | rclone | not installed |');
    t.match(text, 'rclone (not installed)');
    t.match(text, '2 cores (a processor), 24 GiB of memory, Linux 6.18');
  },
);

t.test('what was wanted is said with what was reached', async (t) => {
  const text = document(results([1200], [1000], []));
  t.match(text, '| Cold reads: time ÷ curl | ≤ 0.9 | 0.83 | met |');
  t.match(text, '| Cold reads: speed of light | ≥ 1 |  | not measured |');
  t.notMatch(text, 'not ahead');
  const slow = document(results([500], [1000], []));
  t.match(slow, '| Cold reads: time ÷ curl | ≤ 0.9 | 2.00 | **missed** |');
});

t.test('where Sluice is not ahead, the reason stands, or that none is known', async (t) => {
  const behind = results([600], [500], [700]);
  t.same(notAhead(BENCH, behind), ['read']);
  t.match(document(behind), '- read: no reason is known yet.');
  const reasons = { 'cold: read': 's3fs verifies nothing.', 'cold: time ÷ curl': 'never needed' };
  t.match(document(behind, { reasons }), '- read: s3fs verifies nothing.\n');
  t.notMatch(document(behind, { reasons }), 'never needed', 'a reason for what is ahead is left out');
  t.same(notAhead(BENCH, results([990], [500], [1000])), [], 'next to nothing is nothing');
});

t.test('of delays, less is better', async (t) => {
  const delays = (sluice: number, s3fs: number) => {
    const filled = results([1000], [500], []);
    filled.add(DELAY, 'Sluice', { value: sluice });
    filled.add(DELAY, 's3fs', { value: s3fs });
    return notAhead(BENCH, filled);
  };
  t.same(delays(1.1, 16), []);
  t.same(delays(3, 1.5), ['first byte']);
});

t.test('a system that failed has the reason in place of figures', async (t) => {
  const failed = results([1000], [500], []);
  failed.note(SPEED, 's3fs', 'failed: timed out');
  t.match(document(failed), '|  | s3fs | failed: timed out |');
});

t.test('results that were kept come back as they were', async (t) => {
  const original = results([1000, 1100], [500, 600], []);
  original.note(SPEED, 's3fs', 'failed');
  const kept = JSON.parse(JSON.stringify(original.saved())) as ReturnType<Results['saved']>;
  t.equal(document(Results.restored(kept)), document(original));
});
