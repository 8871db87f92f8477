import t from 'tap';
import { judge, Results } from '../../scripts/bench-results.js';
import type { Row } from '../../scripts/bench-results.js';

const ROW: Row = { title: 'dd', unit: 'MB/s' };

function results(figures: Readonly<Record<string, readonly number[]>>): Results {
  const filled = new Results(Object.keys(figures));
  for (const [variant, values] of Object.entries(figures)) {
    for (const value of values) filled.add(ROW, variant, { value });
  }
  return filled;
}

t.test('a ratio is the median of the ratios of each round, not the ratio of the medians', async (t) => {
  const noisy = results({ local: [100, 10, 1000], mount: [50, 5, 900] });
  t.equal(noisy.ratio('dd', 'mount', 'local'), 0.5);
  t.equal(noisy.median('dd', 'local'), 100);
});

t.test('what was not measured has no figure', async (t) => {
  const one = results({ local: [100] });
  t.ok(Number.isNaN(one.median('dd', 's3fs')));
  t.ok(Number.isNaN(one.ratio('dd', 's3fs', 'local')));
  t.ok(Number.isNaN(one.ratio('dd', 'local', 's3fs')));
  t.ok(Number.isNaN(one.cpu('dd', 'local')));
});

t.test('the table has a line for each variant, with its spread, in the order given', async (t) => {
  const table = new Results(['local', 'mount']);
  table.add(ROW, 'mount', { value: 50, cpu: 0.25, reads: 3 });
  table.add(ROW, 'mount', { value: 70, cpu: 0.35, reads: 4 });
  table.add(ROW, 'local', { value: 100 });
  table.add(ROW, 'local', { value: 100 });
  const [, title, local, mount] = table.table('local');
  t.equal(title, 'dd, MB/s');
  t.match(local, /^ {2}local +100 +100 … 100 +1\.00 *$/);
  t.match(mount, /^ {2}mount +60\.0 +50\.0 … 70\.0 +0\.60 +0\.30 s\/GiB +7$/);
});

t.test('a bar that is missed makes the exit code; one that was not measured is said', async (t) => {
  const lines: string[] = [];
  const print = (line: string) => void lines.push(line);
  const met = { of: 'rate', value: 0.8, limit: { atLeast: 0.75 } };
  const unknown = { of: 'rival', value: NaN, limit: { atLeast: 1.3 } };
  t.equal(judge([met, unknown], print), 0);
  t.match(lines, [/rate .* 0\.8 +≥ 0\.75 +met$/, /rival .* – +≥ 1\.3 +not measured$/]);
  t.equal(judge([met, { of: 'CPU', value: 0.4, limit: { atMost: 0.3 } }], print), 1);
  t.match(lines.at(-1), /CPU .* 0\.4 +≤ 0\.3 +MISSED$/);
});
