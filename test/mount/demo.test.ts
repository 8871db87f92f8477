/** `sluice demo`, which is what `make demo` runs: it proves what it says and leaves nothing, also when it is stopped. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startProcess } from '../cli/live-process.js';
import { cleanEnvironment, SLUICE } from '../support/mount-harness.js';

/** Everything the demo may write lies below `home`; settings of the user that would spoil it are there, too. */
function startDemo(t: { teardown(step: () => void): void }) {
  const home = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  for (const name of ['run', 'tmp']) mkdirSync(join(home, name), { mode: 0o700 });
  const own = {
    TMPDIR: join(home, 'tmp'),
    AWS_PROFILE: 'none',
    SLUICE_PROFILE: 'none',
    HTTP_PROXY: 'http://127.0.0.1:1',
  };
  const demo = startProcess(SLUICE, ['demo', '--size', '64MiB'], { ...cleanEnvironment(home), ...own });
  const leftBehind = () => [
    ...readdirSync(home, { recursive: true, encoding: 'utf8' }).filter((name) => !/^(run|tmp)$/.test(name)),
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(home)),
  ];
  return { demo, leftBehind };
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
