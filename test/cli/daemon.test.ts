import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { isProcessAlive } from '../../src/runtime/process-identity.js';
import { startInBackground } from '../../src/cli/background.js';
import { CommandError } from '../../src/cli/exit-codes.js';
import { loadMountConfig } from '../../src/config/load.js';
import { queryDaemons } from '../../src/observability/status-client.js';
import { systemClock } from '../../src/runtime/clock.js';
import { cleanEnvironment } from '../support/mount-harness.js';
import { startProcess } from './live-process.js';

const FAKE = fileURLToPath(new URL('fake-daemon.js', import.meta.url));
const uid = process.getuid?.() ?? 0;

/** A home of its own for each test, with the sockets of its daemons; in /tmp, because their paths may not be long. */
function makeHome(t: { teardown(step: () => void): void }): string {
  const home = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

function startFake(home: string, behaviour = '') {
  const umount = join(home, 'umount');
  const fake = { XDG_RUNTIME_DIR: home, SLUICE_FAKE: behaviour, SLUICE_FAKE_UMOUNT: umount };
  return startProcess(FAKE, [], { ...cleanEnvironment(home), ...fake });
}

function daemonsOf(home: string) {
  return queryDaemons({ place: { environment: { XDG_RUNTIME_DIR: home }, uid }, clock: systemClock });
}

/** Messages of the JSON log, without those of other processes. */
function messages(log: string): string[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
}

t.test('a daemon in the foreground', async (t) => {
  t.test(
    'answers for its status once it is ready, and ends with 0 when somebody removes the mount',
    async (t) => {
      const home = makeHome(t);
      const daemon = startFake(home);
      await daemon.says('ready');
      t.match(await daemonsOf(home), [
        { state: 'answering', pid: daemon.process.pid, report: { mountpoint: '/m' } },
      ]);
      writeFileSync(join(home, 'umount'), '');
      const { code, stderr } = await daemon.ended;
      t.equal(code, 0);
      t.strictSame(messages(stderr), ['fake mount', 'daemon ends'], 'it did not unmount what was gone');
      t.notOk(existsSync(join(home, 'sluice')), 'no socket is left');
    },
  );

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    t.test(`unmounts and ends with 0 on ${signal}`, async (t) => {
      const daemon = startFake(makeHome(t));
      await daemon.says('ready');
      daemon.process.kill(signal);
      const { code, stderr } = await daemon.ended;
      t.equal(code, 0);
      t.strictSame(messages(stderr), ['fake mount', 'stopping', 'fake unmount', 'daemon ends']);
      t.match(stderr, '"force":false');
    });
  }

  t.test('a second signal ends a mount that hangs by force', async (t) => {
    const daemon = startFake(makeHome(t), 'hangs');
    await daemon.says('ready');
    daemon.process.kill('SIGINT');
    await daemon.says('"force":false');
    daemon.process.kill('SIGINT');
    const { code, stderr } = await daemon.ended;
    t.equal(code, 0);
    t.strictSame(messages(stderr).slice(2), [
      'fake unmount',
      'asked again: ending by force',
      'fake unmount',
      'daemon ends',
    ]);
    t.match(stderr, '"force":true');
  });

  t.test('two signals end it also before it is mounted', async (t) => {
    const daemon = startFake(makeHome(t), 'never mounts');
    await daemon.says('fake mount');
    daemon.process.kill('SIGTERM');
    await daemon.says('stopped before the mount was there');
    daemon.process.kill('SIGINT');
    t.equal((await daemon.ended).code, 128 + 15);
  });

  t.test('an exception that nobody caught is logged, and takes the mount away', async (t) => {
    const home = makeHome(t);
    const daemon = startFake(home, 'throws later');
    await daemon.says('ready');
    daemon.process.kill('SIGUSR2');
    const { code, stderr } = await daemon.ended;
    t.equal(code, 1);
    t.strictSame(messages(stderr).slice(0, 3), [
      'fake mount',
      'uncaught exception: the daemon ends',
      'fake unmount',
    ]);
    t.match(stderr, /"stack":"Error: a bug/);
    t.match(stderr, 'sluice: unexpected: a bug; the log has the details\n');
  });
});

t.test('a daemon in the background', async (t) => {
  /** Starts the fake as `sluice mount` starts a daemon. */
  async function startBehind(home: string, behaviour = '') {
    const user = { uid, gid: 0, homeDir: home, workingDir: '/' };
    const { config } = loadMountConfig({
      source: 's3://bucket',
      mountpoint: '/m',
      flags: { 'log-file': join(home, 'log') },
      environment: {},
      user,
    });
    const umount = join(home, 'umount');
    const before = { ...process.env };
    Object.assign(process.env, { XDG_RUNTIME_DIR: home, SLUICE_FAKE: behaviour, SLUICE_FAKE_UMOUNT: umount });
    try {
      return await startInBackground(config, FAKE);
    } finally {
      process.env = before;
    }
  }

  async function failure(start: Promise<unknown>): Promise<CommandError> {
    try {
      await start;
    } catch (error) {
      if (error instanceof CommandError) return error;
    }
    throw new Error('expected a CommandError');
  }

  t.test('is ready when the start returns, has a session of its own, and outlives a hangup', async (t) => {
    const home = makeHome(t);
    const { pid } = await startBehind(home);
    t.match(await daemonsOf(home), [{ state: 'answering', pid }]);
    t.equal(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[5], String(pid), 'leader of its session');
    process.kill(pid, 'SIGHUP');
    t.match(await daemonsOf(home), [{ state: 'answering', pid }]);
    process.kill(pid, 'SIGTERM');
    await untilGone(pid);
    t.strictSame(messages(readFileSync(join(home, 'log'), 'utf8')), [
      'fake mount',
      'stopping',
      'fake unmount',
      'daemon ends',
    ]);
    t.strictSame(readdirSync(home), ['log'], 'no socket is left');
  });

  t.test('that fails passes on its words and its exit code, and logs the details', async (t) => {
    const home = makeHome(t);
    const error = await failure(startBehind(home, 'fails'));
    t.equal(error.message, '/m does not exist: create it');
    t.equal(error.exitCode, 3);
    t.match(readFileSync(join(home, 'log'), 'utf8'), /"msg":"the mount failed"/);
    t.strictSame(await daemonsOf(home), []);
  });

  t.test('that dies without a word is said to have, with the end of its log', async (t) => {
    const home = makeHome(t);
    writeFileSync(join(home, 'log'), 'of an older mount\n');
    const error = await failure(startBehind(home, 'crashes'));
    t.equal(error.exitCode, 1);
    t.match(error.message, `the daemon ended without a word (SIGSEGV); the end of its log ${home}/log: {`);
    t.match(error.message, 'fake mount');
    t.notMatch(error.message, 'of an older mount');
  });
});

/** Its parent is this process, so that it is gone when node has reaped it. */
async function untilGone(pid: number): Promise<void> {
  while (isProcessAlive(pid)) await new Promise((resolve) => setImmediate(resolve));
}
