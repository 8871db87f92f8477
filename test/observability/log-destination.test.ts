import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { LogFileError, openLogDescriptor, openLogFile } from '../../src/observability/log-destination.js';
import type { LogDestination } from '../../src/observability/log-destination.js';
import { prettyLines } from '../../src/observability/log-format.js';
import { createLogger } from '../../src/observability/logger.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const clock = new SimulatedClock();

t.test('lines are in the file when write returns, and after those that were there', (t) => {
  const file = join(t.testdir(), 'new/folder/log');
  const log = openLogFile(file, clock);
  log.write('one\n');
  t.equal(readFileSync(file, 'utf8'), 'one\n');
  log.close();
  log.write('dropped\n');
  openLogFile(file, clock).write('two\n');
  t.equal(readFileSync(file, 'utf8'), 'one\ntwo\n');
  t.equal(statSync(join(file, '..')).mode & 0o777, 0o700);
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.end();
});

t.test('the last lines of a daemon that is killed are there', (t) => {
  const file = join(t.testdir(), 'log');
  const module = fileURLToPath(new URL('../../src/observability/log-destination.js', import.meta.url));
  const program = `
    import { openLogFile } from ${JSON.stringify(module)};
    const log = openLogFile(${JSON.stringify(file)}, { wallTimeMs: () => 0 });
    for (let i = 0; i < 1000; i++) log.write(i + '\\n');
    process.kill(process.pid, 'SIGKILL');
  `;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', program]);
  t.equal(child.signal, 'SIGKILL');
  t.match(readFileSync(file, 'utf8'), /\n998\n999\n$/);
  t.end();
});

t.test('a full file becomes .1, and the oldest goes', (t) => {
  const folder = t.testdir();
  const log = openLogFile(join(folder, 'log'), clock, { fileBytesMax: 10, filesMax: 3 });
  for (const line of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) log.write(`${line.repeat(4)}\n`);
  t.strictSame(readdirSync(folder).sort(), ['log', 'log.1', 'log.2']);
  t.equal(readFileSync(join(folder, 'log'), 'utf8'), 'gggg\n');
  t.equal(readFileSync(join(folder, 'log.1'), 'utf8'), 'eeee\nffff\n');
  t.equal(readFileSync(join(folder, 'log.2'), 'utf8'), 'cccc\ndddd\n');
  log.close();
  t.end();
});

t.test('the size of a file that was there counts, and a line longer than a file is written whole', (t) => {
  const folder = t.testdir({ log: '12345678\n' });
  const log = openLogFile(join(folder, 'log'), clock, { fileBytesMax: 10, filesMax: 2 });
  log.write('x'.repeat(30));
  t.equal(readFileSync(join(folder, 'log'), 'utf8'), 'x'.repeat(30));
  t.equal(readFileSync(join(folder, 'log.1'), 'utf8'), '12345678\n');
  log.close();
  t.end();
});

t.test('a log that cannot be opened says why and what to do', (t) => {
  const folder = t.testdir({ file: '' });
  const below = join(folder, 'file/log');
  for (const open of [openLogDescriptor, (path: string) => openLogFile(path, clock)]) {
    t.throws(() => open(below), LogFileError);
    t.throws(() => open(below), {
      message: `the log file ${below} cannot be written (ENOTDIR: not a directory, open '${below}'); choose another with --log-file`,
    });
    t.throws(() => open(folder), /cannot be written \(EISDIR/);
  }
  t.end();
});

t.test(
  'lines that could not be written are counted, and the count is logged when writing works again',
  (t) => {
    const folder = t.testdir();
    const file = join(folder, 'log');
    const log = openLogFile(file, clock, { fileBytesMax: 8, filesMax: 2 });
    log.write('12345678\n');
    // The folder turns into a file: after the rotation there is no place for a new log.
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    log.write('lost 1\n');
    log.write('lost 2\n');
    rmSync(folder);
    mkdirSync(folder);
    log.write('found\n');
    const [first, second] = readFileSync(file, 'utf8').split('\n');
    t.strictSame(JSON.parse(first ?? ''), {
      level: 40,
      time: clock.wallTimeMs(),
      msg: 'log lines dropped',
      lines: 2,
    });
    t.equal(second, 'found');
    log.close();
    t.end();
  },
);

t.test('a terminal gets readable lines', (t) => {
  const lines: string[] = [];
  const memory: LogDestination = { write: (line) => lines.push(line), close: () => {} };
  createLogger('info', prettyLines(memory, false)).warn({ key: 'a/b' }, 'slow read');
  t.match(lines, [/^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: slow read \{"key":"a\/b"\}\n$/]);
  t.end();
});
