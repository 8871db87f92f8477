import { readFileSync } from 'node:fs';
import t from 'tap';
import { EXIT_CODE_MEANINGS, exitCodeOf, EXIT, CommandError } from '../../src/cli/exit-codes.js';
import { ConfigError } from '../../src/config/config-error.js';
import { flagOf } from '../../src/config/option-spec.js';
import { OPTIONS } from '../../src/config/option-table.js';
import { MountError } from '../../src/fuse/session.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { ObjectStoreErrorCode } from '../../src/object-store/errors.js';
import { LogFileError } from '../../src/observability/log-destination.js';
import { cleanEnvironment, SLUICE } from '../support/mount-harness.js';
import { run } from '../support/processes.js';

const env = cleanEnvironment(t.testdir());

async function sluice(args: readonly string[]) {
  const { code, stdout, stderr } = await run(process.execPath, [SLUICE, ...args], { env });
  return { code, stdout: stdout.toString(), stderr };
}

t.test('--version prints the version of the package', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  t.strictSame(await sluice(['--version']), {
    code: 0,

    stdout: `${version}\n`,
    stderr: '',
  });
});

t.test('--help names the commands, gives examples and explains every exit code', async (t) => {
  const { code, stdout } = await sluice(['--help']);
  t.equal(code, 0);
  for (const command of ['mount', 'unmount', 'status', 'demo', 'serve-s3'])
    t.match(stdout, `\n  ${command} `);
  for (const [exitCode, meaning] of EXIT_CODE_MEANINGS) t.match(stdout, `  ${exitCode}  ${meaning}\n`);
  t.match(stdout, 'sluice mount s3://');
  t.notMatch(stdout, /^ *daemon/m);
});

t.test('help mount and mount --help explain every option with its default', async (t) => {
  const { code, stdout } = await sluice(['help', 'mount']);
  t.equal(code, 0);
  t.equal((await sluice(['mount', '--help'])).stdout, stdout);
  for (const { name, group } of OPTIONS) {
    t.match(stdout, new RegExp(`^ +${flagOf(name)}\\b`, 'm'));
    t.match(stdout, `\n${group}:\n`);
  }
  const words = stdout.replaceAll(/\s+/g, ' ');
  t.match(words, '(default: 16MiB; 64KiB to 256MiB)');
  t.match(words, '(auto, native, portable; default: auto)');
  t.notMatch(words, '--no-trace-reads');
});

t.test('a mistake is answered in one line, with what may have been meant, and exit code 2', async (t) => {
  const known: [string[], string][] = [
    [['mont', 's3://b', '/m'], "unknown command 'mont' (did you mean mount?); see sluice --help"],
    [
      ['mount', '--regoin', 'x', 's3://bucket', '/m'],
      "unknown option '--regoin' (did you mean --region?); see sluice mount --help",
    ],
    [['mount', 's3://bucket'], "missing required argument 'MOUNTPOINT'; see sluice mount --help"],
    [
      ['mount', 's3://bucket', '/m', 'x'],
      "too many arguments for 'mount'. Expected 2 arguments but got 3.; see sluice mount --help",
    ],
    [['mount', '--region'], "option '--region <NAME>' argument missing; see sluice mount --help"],
    [
      ['unmount', '--force', '--lazy', '/m'],
      "option '--force' cannot be used with option '--lazy'; see sluice unmount --help",
    ],
    [['mount', 'bucket', '/m'], 'expected s3://BUCKET[/PREFIX], got "bucket"; did you mean s3://bucket?'],
    [
      ['mount', '--part-size-max', 'big', 's3://bucket', '/m'],
      '--part-size-max: expected a size from 64KiB to 256MiB such as 16MiB, got "big"',
    ],
    [
      ['mount', '--no-sign-request', '--profile', 'x', 's3://bucket', '/m'],
      '--no-sign-request and --profile contradict each other: anonymous requests have no identity; expected one of the two, got both',
    ],
    [['cache', 'lst'], "unknown command 'lst' (did you mean ls?); see sluice cache --help"],
    [['cache', 'ls', '--jsn'], "unknown option '--jsn' (did you mean --json?); see sluice cache ls --help"],
    [['demo', '--size', '1K'], '--size: expected a size from 64MiB to 64GiB such as 256MiB, got "1K"'],
    [['serve-s3', '--port', 'http', '/tmp'], '--port: expected a whole number from 0 to 65535, got "http"'],
    [
      ['serve-s3', '--port', '0', '--round-trip', 'far', '/tmp'],
      '--round-trip: expected a duration such as 20ms, got "far"',
    ],
    [
      ['serve-s3', '--port', '0', '--connection-rate', 'slow', '/tmp'],
      '--connection-rate: expected bytes per second such as 60MiB, got "slow"',
    ],
    [['daemon', 's3://bucket', '/m'], 'this command is run by "sluice mount" itself; expected sluice mount'],
  ];
  for (const [args, message] of known) {
    const ended = await sluice(args);
    t.strictSame(ended, { code: EXIT.usage, stdout: '', stderr: `sluice: ${message}\n` }, args.join(' '));
  }
});

t.test('serve-s3 says which folder it cannot use', async (t) => {
  const { code, stderr } = await sluice(['serve-s3', '--port', '0', '/proc/nowhere']);
  t.equal(code, EXIT.mount);
  t.match(
    stderr,
    /^sluice: \/proc\/nowhere cannot be used \(ENOENT.*\): give a directory that you may write to\n$/,
  );
});

t.test('the last of a repeated flag counts, and --no-X takes X back', async (t) => {
  const args = ['mount', '--log-level', 'loud', '--log-level', 'info', '--no-sign-request', '--sign-request'];
  const { stderr } = await sluice([...args, '--profile', 'x', '--uid', 'me', 's3://bucket', '/m']);
  t.equal(stderr, 'sluice: --uid: expected a whole number from 0 to 4294967294, got "me"\n');
});

t.test('sluice alone shows its help, as a mistake', async (t) => {
  const { code, stdout, stderr } = await sluice([]);
  t.equal(code, EXIT.usage);
  t.equal(stdout, '');
  t.match(stderr, /^Usage: sluice COMMAND/);
});

t.test('the stack of an error is shown to those who ask for details', async (t) => {
  const { stderr } = await sluice(['mount', 'bucket', '/m', '--log-level', 'debug']);
  t.match(stderr, /^sluice: expected .*\nConfigError: expected .*\n {4}at /);
});

t.test('status and unmount of a place where nothing is mounted', async (t) => {
  t.match(await sluice(['status']), { code: 0, stdout: 'Nothing is mounted.\n', stderr: '' });
  t.match(await sluice(['status', '/nope']), {
    code: EXIT.notMounted,
    stdout: '',
    stderr: 'sluice: no mount of yours at /nope; "sluice status" lists the ones there are\n',
  });
  const json = await sluice(['status', '--json']);
  t.strictSame(JSON.parse(json.stdout), { schema: 1, mounts: [], notAnswering: [] });
  t.match(await sluice(['unmount', '/nope']), {
    code: EXIT.notMounted,
    stdout: '',
    stderr: 'sluice: nothing is mounted at /nope; "sluice status" lists the mounts\n',
  });
});

t.test('unmount refuses what is not a mount of Sluice', { skip: process.platform !== 'linux' }, async (t) => {
  const { code, stderr } = await sluice(['unmount', '/proc']);
  t.equal(code, EXIT.notMounted);
  t.match(stderr, /expected a mount of Sluice at \/proc, got proc \(proc\); use umount for it/);
});

t.test('errors have the exit codes that --help promises', async (t) => {
  const store = (code: ObjectStoreErrorCode) =>
    exitCodeOf(new ObjectStoreError(code, '', { operation: 'x' }));
  t.equal(exitCodeOf(new ConfigError('')), 2);
  t.equal(exitCodeOf(new MountError('mountpoint_missing', '')), 3);
  t.equal(exitCodeOf(new LogFileError('')), 3);
  t.equal(store('credentials_missing'), 4);
  t.equal(store('access_denied'), 4);
  t.equal(store('no_such_bucket'), 5);
  t.equal(store('unreachable'), 6);
  t.equal(exitCodeOf(new CommandError(EXIT.busy, '')), 8);
  t.equal(exitCodeOf(new Error('a bug')), 1);
  const codes = EXIT_CODE_MEANINGS.map(([code]) => code);
  t.strictSame(codes, Object.values(EXIT), 'every code is explained, in order');
});
