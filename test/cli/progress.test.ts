import t from 'tap';
import { Progress, progressStyle } from '../../src/cli/progress.js';
import type { ProgressStyle, ProgressView } from '../../src/cli/progress.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const MIB = 1024 ** 2;

function rig(style: ProgressStyle, size: { readonly columns?: number; readonly rows?: number } = {}) {
  const clock = new SimulatedClock();
  const written: string[] = [];
  const state: { view: ProgressView } = {
    view: {
      filesDone: 1,
      filesTotal: 3,
      bytesDone: 0,
      bytesTotal: 100 * MIB,
      bytesFetched: 0,
      running: [],
    },
  };
  const output = { ...size, write: (text: string) => written.push(text) };
  const progress = new Progress({ clock, output }, style, () => state.view);
  const show = (change: Partial<ProgressView>) => (state.view = { ...state.view, ...change });
  return { clock, progress, show, written, take: () => written.splice(0).join('') };
}

/** What a terminal shows after `text`: cursor up, erase below, lines. */
function screen(text: string): string[] {
  const lines: string[] = [];
  // oxlint-disable-next-line no-control-regex -- it is what a terminal obeys
  for (const [, up, line] of text.matchAll(/\x1b\[(\d+)A\r\x1b\[J|([^\n]*)\n/g)) {
    if (up === undefined) lines.push(line ?? '');
    else lines.splice(lines.length - Number(up));
  }
  return lines;
}

t.test('the style follows from who reads', async (t) => {
  t.equal(progressStyle({ json: true, isTerminal: true }), 'json');
  t.equal(progressStyle({ json: false, isTerminal: true }), 'bars');
  t.equal(progressStyle({ json: false, isTerminal: false }), 'lines');
});

t.test('bars: a line per running file and one for all, drawn again in their place', async (t) => {
  const { clock, progress, show, written } = rig('bars', { columns: 100, rows: 24 });
  show({ running: [{ name: 'models/a.bin', bytesDone: 0, size: 80 * MIB }] });
  progress.start();
  clock.advance(1000);
  const running = [{ name: 'models/a.bin', bytesDone: 20 * MIB, size: 80 * MIB }];
  show({ bytesDone: 20 * MIB, bytesFetched: 20 * MIB, running });
  clock.advance(1000);
  t.strictSame(screen(written.join('')), [
    'models/a.bin                     [#####...............]  25%  80.0 MiB  10.0 MiB/s 6.00 s left',
    '1 of 3 files  20.0 MiB of 100 MiB (20%)  10.0 MiB/s  8.00 s left',
  ]);
  progress.stop();
  t.strictSame(screen(written.join('')), [], 'and nothing is left of them');
  t.equal(clock.pendingTimers, 0);
});

t.test('bars: what happens is told above them', async (t) => {
  const { progress, written } = rig('bars', { columns: 100 });
  progress.start();
  progress.event({ event: 'file', name: 'a' }, { line: 'a: 1 B' });
  const [first, second, ...more] = screen(written.join(''));
  t.equal(first, 'a: 1 B');
  t.match(second, /^1 of 3 files/);
  t.strictSame(more, []);
  progress.event({ event: 'file', name: 'b' });
  t.equal(screen(written.join('')).length, 2, 'nobody is told what has no words');
  progress.stop();
  t.strictSame(screen(written.join('')), ['a: 1 B']);
});

t.test('bars: as many files as fit, names cut at their beginning, control characters harmless', async (t) => {
  const { progress, show, written } = rig('bars', { columns: 80, rows: 5 });
  const names = [`models/${'x'.repeat(100)}/tail.bin`, 'evil\x1b[2J', 'c', 'd'];
  show({ running: names.map((name) => ({ name, bytesDone: 0, size: 0 })) });
  progress.start();
  const lines = screen(written.join(''));
  t.equal(lines.length, 4);
  t.match(lines[0], /^…x*\/tail.bin \[#{20}\] 100%/);
  t.match(lines[1], /^evil\\x1b\[2J /);
  t.equal(lines[2], '  … and 2 more');
  for (const line of lines) t.ok(Array.from(line).length < 80, 'no line reaches the last column');
  progress.stop();
});

t.test('lines: one every ten seconds, and what happens', async (t) => {
  const { clock, progress, show, take } = rig('lines');
  progress.start();
  t.equal(take(), '');
  show({ bytesDone: 50 * MIB, bytesFetched: 50 * MIB });
  clock.advance(10_000);
  t.equal(take(), '1 of 3 files  50.0 MiB of 100 MiB (50%)  5.00 MiB/s  10.0 s left\n');
  progress.event({ event: 'x' }, { line: 'said' });
  t.equal(take(), 'said\n');
  progress.event({ event: 'x' }, { line: 'evil\x1b[2J\nkey' });
  t.equal(take(), 'evil\\x1b[2J\\x0akey\n');
  show({ filesTotal: undefined, bytesTotal: undefined });
  clock.advance(10_000);
  t.equal(take(), '1 file  50.0 MiB  0 B/s\n');
  progress.stop();
  t.equal(take(), '');
  t.equal(clock.pendingTimers, 0);
});

t.test('json: every event and every second one line, for programs only', async (t) => {
  const { clock, progress, show, take } = rig('json');
  progress.start();
  progress.event({ event: 'file', name: 'a\nb' }, { line: 'for people' });
  t.strictSame(JSON.parse(take()), { event: 'file', name: 'a\nb' });
  show({ bytesDone: 30 * MIB, bytesFetched: 10 * MIB, running: [{ name: 'r', bytesDone: 1, size: 2 }] });
  clock.advance(1000);
  t.strictSame(JSON.parse(take()), {
    event: 'progress',
    filesDone: 1,
    filesTotal: 3,
    bytesDone: 30 * MIB,
    bytesTotal: 100 * MIB,
    bytesFetched: 10 * MIB,
    bytesPerSecond: 10 * MIB,
    running: [{ name: 'r', bytesDone: 1, size: 2 }],
  });
  progress.stop();
  t.equal(take(), '');
});
