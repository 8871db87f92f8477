/** `sluice demo`, which is what `make demo` runs: it proves what it says and leaves nothing, also when it is stopped. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startProcess } from '../cli/live-process.js';
import { cleanEnvironment, SLUICE } from '../support/mount-harness.js';

/** Everything the demo may write lies below `home`; settings of the user that would spoil it are there, too. */
function startDemo(t: { teardown(step: () => void): void }, environment: NodeJS.ProcessEnv = {}) {
  const home = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  for (const name of ['run', 'tmp']) mkdirSync(join(home, name), { mode: 0o700 });
  const own = {
    TMPDIR: join(home, 'tmp'),
    AWS_PROFILE: 'none',
    SLUICE_PROFILE: 'none',
    HTTP_PROXY: 'http://127.0.0.1:1',
  };
  const demo = startProcess(SLUICE, ['demo', '--size', '64MiB'], {
    ...cleanEnvironment(home),
    ...own,
    ...environment,
  });
  const mounts = () =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(home));
  const leftBehind = () => [
    ...readdirSync(home, { recursive: true, encoding: 'utf8' }).filter((name) => !/^(run|tmp)$/.test(name)),
    ...mounts(),
  ];
  return { demo, mounts, leftBehind };
}

t.test('streams, proves every byte, and leaves nothing behind', async (t) => {
  const { demo, leftBehind } = startDemo(t);
  const { code, stdout, stderr } = await demo.ended;
  t.equal(stderr, '');
  t.equal(code, 0);
  t.match(stdout, /the server had sent [\d.]+ [KM]iB of 64\.0 MiB/);
  t.match(stdout, /\[#{20}\] 100%/);
  const [, readHash, objectHash] = /was read +([0-9a-f]{64})\n.*object +([0-9a-f]{64})\n/.exec(stdout) ?? [];
  t.ok(readHash !== undefined && readHash === objectHash, 'both hashes are shown');
  t.match(stdout, /PASS/);
  t.strictSame(leftBehind(), []);
});

t.test('stopped in the middle, it cleans up all the same', async (t) => {
  const { demo, leftBehind } = startDemo(t);
  await demo.says('First bytes');
  demo.process.kill('SIGINT');
  const { code, stdout, stderr } = await demo.ended;
  t.equal(code, 130);
  t.equal(stderr, 'sluice: stopped by SIGINT\n');
  t.notMatch(stdout, /PASS/);
  t.strictSame(leftBehind(), []);
});

t.test('a mount that cannot be removed is said and fails the demo', async (t) => {
  const programs = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(programs, { recursive: true, force: true }));
  const isRoot = process.geteuid?.() === 0;
  // libfuse mounts through fusermount, so that the mount itself still succeeds.
  const refusing = '#!/bin/sh\necho refused >&2\nexit 1\n';
  const program = isRoot ? 'umount' : 'fusermount3';
  writeFileSync(join(programs, program), refusing, { mode: 0o755 });
  const { demo, mounts } = startDemo(t, { PATH: `${programs}:${process.env['PATH'] ?? ''}` });
  const { code, stdout, stderr } = await demo.ended;
  const [left] = mounts().flatMap((line) => / (\/tmp\/slq-\S+) /.exec(line)?.[1] ?? []);
  if (left !== undefined)
    execFileSync(isRoot ? 'umount' : 'fusermount3', isRoot ? ['-l', left] : ['-uz', left]);
  t.ok(left, 'it is left mounted');
  t.match(stderr, /could not clean up: cannot unmount .*: refused/);
  t.match(stderr, /FAIL/);
  t.notMatch(stdout, /PASS|Unmounted/);
  t.equal(code, 3);
});
