import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { isProcessAlive, processStartedAt } from '../../src/runtime/process-identity.js';

const onLinux = process.platform === 'linux' ? {} : { skip: 'needs /proc' };

t.test('this process is alive, and one that was collected is not', async (t) => {
  t.ok(isProcessAlive(process.pid));
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  t.notOk(isProcessAlive(Number(child.pid)));
});

t.test('a process of another user is alive', async (t) => {
  t.ok(isProcessAlive(1));
});

t.test('a process with the number of an earlier one is not that one', onLinux, async (t) => {
  const startedAt = processStartedAt(process.pid);
  t.match(startedAt, /^\d+$/);
  t.ok(isProcessAlive(process.pid, startedAt));
  t.notOk(isProcessAlive(process.pid, '1'));
});

t.test('one that ended and was never collected is not alive', onLinux, async (t) => {
  // The shell becomes a program that does not know of the child.
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec cat']);
  t.teardown(() => parent.kill('SIGKILL'));
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  t.ok(isProcessAlive(pid));
  // Only cat answers: the shell, which would collect the child, is gone then.
  parent.stdin.write('ready?');
  await once(parent.stdout, 'data');
  process.kill(pid, 'SIGKILL');
  while (isProcessAlive(pid)) await new Promise((resolve) => setImmediate(resolve));
  t.equal(process.kill(pid, 0), true, 'it is still listed');
});
