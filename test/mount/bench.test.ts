/**
 * The benchmarks of cold reads from end to end, on tiny sizes: their rows come out complete, with right bytes, and nothing
 * stays behind, also when they are stopped. How fast it is says nothing here.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import t, { type Test } from 'tap';
import { eventually } from '../support/processes.js';

const BENCH = resolve('dist/scripts/bench-reads.js');

function start(t: Pick<Test, 'teardown'>, names: readonly string[]) {
  const temporary = mkdtempSync('/tmp/sluice-test-');
  const env = { ...process.env, TMPDIR: temporary, RIVALS: 'none' };
  const child = spawn(process.execPath, [BENCH, '--short', ...names], { env });
  const ended = once(child, 'close') as Promise<[number | null]>;
  t.teardown(async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(temporary, { recursive: true, force: true });
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].on('data', (piece: Buffer) => (output[stream] += piece.toString()));
  }
  const leftBehind = () => [
    ...readdirSync(temporary),
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(temporary)),
  ];
  return { child, output, leftBehind, ended };
}

/** The lines of a section's table, as cells without spaces around them. */
function rowsOf(document: string, heading: string): string[][] {
  const [, section = ''] = document.split(`## ${heading}\n`);
  const [text = ''] = section.split('\n## ');
  return text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('|  |  |'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

t.test('every row has its figures', { timeout: 120_000 }, async (t) => {
  const { output, leftBehind, ended } = start(t, ['cold', 'first', 'demand', 'share']);
  const [code] = await ended;
  t.equal(code, 0, output.stderr);
  const cold = rowsOf(output.stdout, 'Cold sequential read, no network added');
  t.same(
    cold.map(([title, variant]) => [title, variant]),
    [
      ['read, MB/s', 'curl -o'],
      ['', 'Sluice'],
      ['mmap, MB/s', 'curl -o'],
      ['', 'Sluice'],
    ],
  );
  for (const [, variant, rate, range, ratio, cpu, memory, connections, fetched] of cold) {
    t.match({ rate, range, ratio }, { rate: /^[\d.]+$/, range: /^[\d.]+ … [\d.]+$/, ratio: /^[\d.]+$/ });
    if (variant !== 'Sluice') continue;
    t.match({ cpu, memory, connections }, { cpu: /^[\d.]+$/, memory: /^[\d.]+$/, connections: /^[\d.]+$/ });
    t.equal(fetched, '1.00', 'every byte is fetched once');
  }
  t.equal(rowsOf(output.stdout, 'First byte').length, 4);
  t.equal(rowsOf(output.stdout, 'Reads on demand beside eight streams').length, 3);
  t.equal(rowsOf(output.stdout, 'Eight readers of one object').at(0)?.at(-1), '1.00');
  t.notMatch(output.stdout, /failed|not measured/);
  t.strictSame(leftBehind(), []);
});

t.test('stopped in the middle, it leaves nothing behind', async (t) => {
  const { child, output, leftBehind, ended } = start(t, ['cold']);
  await eventually(
    () => readFileSync('/proc/self/mountinfo', 'utf8').includes('/Sluice-') || child.exitCode !== null,
  );
  child.kill('SIGINT');
  const [code] = await ended;
  t.equal(code, 1);
  t.match(output.stderr, 'stopped by SIGINT');
  t.strictSame(leftBehind(), []);
});

t.test('a name that is none is said, with those that are', async (t) => {
  const { output, ended } = start(t, ['colt']);
  t.same(await ended.then(([code]) => code), 1);
  t.match(output.stderr, /no benchmark is called colt: cold, tls, .* share/);
});
