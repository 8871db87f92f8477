import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError } from '../../src/config/config-error.js';
import { loadMountConfig, loadTransferConfig } from '../../src/config/load.js';
import { variableOf } from '../../src/config/option-spec.js';
import { OPTIONS } from '../../src/config/option-table.js';
import type { Flags } from '../../src/config/resolve.js';

const home = t.testdir({ '.config': { sluice: {} } });
const file = join(home, '.config/sluice/config.toml');

interface Given {
  readonly flags?: Flags;
  readonly environment?: Record<string, string>;
  readonly file?: string;
  readonly uid?: number;
}

function load({ flags = {}, environment = {}, file: text = '', uid = 1000 }: Given) {
  writeFileSync(file, text);
  const user = { uid, gid: 1000, homeDir: home, workingDir: '/work' };
  return loadMountConfig({ source: 's3://bucket', mountpoint: '/mnt', flags, environment, user }).config;
}

function refusal(given: Given): string {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'accepted';
}

t.test('a flag wins over a variable, a variable over the file, the file over the default', (t) => {
  const flags = { region: 'from-flag' };
  const environment = { SLUICE_REGION: 'from-variable' };
  t.equal(load({ flags, environment, file: 'region = "from-file"' }).region, 'from-flag');
  t.equal(load({ environment, file: 'region = "from-file"' }).region, 'from-variable');
  t.equal(load({ file: 'region = "from-file"' }).region, 'from-file');
  t.equal(load({}).region, undefined);
  t.end();
});

t.test('a boolean that the file turns on is turned off by a flag', (t) => {
  t.equal(load({ file: 'trace-reads = true', flags: { 'trace-reads': false } }).traceReads, false);
  t.equal(load({ file: 'trace-reads = true', environment: { SLUICE_TRACE_READS: '0' } }).traceReads, false);
  t.end();
});

t.test('every option that may stand in the environment is read from there', (t) => {
  for (const option of OPTIONS) {
    const readable = !('sources' in option) || option.sources.some((source) => source === 'environment');
    const answer = refusal({ environment: { [variableOf(option.name)]: '\0' } });
    t.equal(answer.startsWith(variableOf(option.name)), readable && option.name !== 'config', option.name);
    if (option.name === 'config') t.match(answer, /cannot be read/);
  }
  t.end();
});

t.test("the variables of the AWS tools are honoured, below Sluice's own", (t) => {
  const environment = { AWS_ENDPOINT_URL: 'http://all:1', AWS_ENDPOINT_URL_S3: 'http://s3:1/' };
  t.equal(load({ environment }).endpointUrl, 'http://s3:1');
  t.equal(load({ environment: { AWS_ENDPOINT_URL: 'http://all:1' } }).endpointUrl, 'http://all:1');
  const own = { ...environment, SLUICE_ENDPOINT_URL: 'http://own:1' };
  t.equal(load({ environment: own }).endpointUrl, 'http://own:1');
  t.equal(load({ environment: { AWS_CA_BUNDLE: '/etc/hostname' } }).caBundle, '/etc/hostname');
  t.end();
});

t.test('a variable that is set but empty counts as not set', (t) => {
  t.equal(load({ environment: { SLUICE_REGION: '' }, file: 'region = "from-file"' }).region, 'from-file');
  t.end();
});

t.test('an unknown variable is refused when it is nearly an option, else it is left alone', (t) => {
  t.equal(
    refusal({ environment: { SLUICE_CACHE_BYTE_MAX: '1G' } }),
    'SLUICE_CACHE_BYTE_MAX: there is no such option; expected SLUICE_CACHE_BYTES_MAX, or unset the variable',
  );
  t.equal(refusal({ environment: { SLUICE_REQUIRE_MOUNT: '1', SLUICE_CONTRACT_ENDPOINT: 'x' } }), 'accepted');
  t.end();
});

t.test('the file brings typed values', (t) => {
  const config = load({
    file: 'part-size-max = "1MiB"\nprefetch-max = 2097152\nmetadata-ttl = 1.5\nuid = 12\nfile-mode = "0400"\n',
  });
  t.match(config, { partBytesMax: 1024 ** 2, prefetchBytesMax: 2 * 1024 ** 2, metadataTtlMs: 1500 });
  t.match(config, { uid: 12, fileMode: 0o400 });
  t.end();
});

t.test('a named file must exist, and replaces the default one', (t) => {
  const other = join(home, 'other.toml');
  writeFileSync(other, 'profile = "other"');
  t.match(load({ flags: { config: other }, file: 'region = "x"' }), { profile: 'other', region: undefined });
  t.equal(load({ environment: { SLUICE_CONFIG: other } }).profile, 'other');
  t.equal(
    refusal({ flags: { config: 'missing.toml' } }),
    'the configuration file /work/missing.toml cannot be read (ENOENT); check its path and permissions',
  );
  t.end();
});

t.test('relative paths count from the working directory of the user', (t) => {
  const config = load({ flags: { 'cache-dir': 'cache', 'log-file': '../log' } });
  t.equal(config.cacheDir, '/work/cache');
  t.equal(config.logFile, '/log');
  t.end();
});

t.test('the cache and the log follow the XDG folders, relative ones being ignored', (t) => {
  const config = load({ environment: { XDG_CACHE_HOME: '/c', XDG_STATE_HOME: 'relative' } });
  t.equal(config.cacheDir, '/c/sluice');
  t.ok(config.logFile?.startsWith(join(home, '.local/state/sluice/mnt-')));
  t.equal(load({ flags: { foreground: true } }).logFile, undefined);
  t.end();
});

t.test('root lets other users in unless told not to', (t) => {
  t.equal(load({ uid: 0 }).allowOther, true);
  t.equal(load({ uid: 0, flags: { 'allow-other': false } }).allowOther, false);
  t.equal(load({ uid: 1000 }).allowOther, false);
  t.end();
});

t.test('a short read deadline shortens the default stall timeout with it', (t) => {
  t.equal(load({ flags: { 'read-deadline': '5s' } }).stallTimeoutMs, 2500);
  t.equal(load({ flags: { 'read-deadline': '1m' } }).stallTimeoutMs, 3000);
  t.end();
});

t.test('each refusal says where, what was expected and what was got', (t) => {
  const known: [Given, string][] = [
    [
      { flags: { 'part-size-max': 'banana' } },
      '--part-size-max: expected a size from 64KiB to 256MiB such as 16MiB, got "banana"',
    ],
    [
      { environment: { SLUICE_METADATA_TTL: '-1s' } },
      'SLUICE_METADATA_TTL: expected a duration from 0s to 24h such as 60s, got "-1s"',
    ],
    [
      { file: '# mine\n\nconnections-max = 0\n' },
      `connections-max (${file}, line 3): expected a whole number from 2 to 256, got 0`,
    ],
    [{ file: 'trace-reads = "yes"' }, `trace-reads (${file}, line 1): expected true or false, got "yes"`],
    [{ flags: { 'trace-reads': 'maybe' } }, '--trace-reads: expected true or false, got "maybe"'],
    [
      { file: 'file-mode = 444' },
      `file-mode (${file}, line 1): expected octal permission bits from 0 to 0777 such as "0444", got 444`,
    ],
    [
      { flags: { 'file-mode': '1777' } },
      '--file-mode: expected octal permission bits from 0 to 0777 such as 0444, got "1777"',
    ],
    [{ flags: { driver: 'fast' } }, '--driver: expected one of auto, native, portable, got "fast"'],
    [{ flags: { 'fuse-threads': '17' } }, '--fuse-threads: expected a whole number from 1 to 16, got "17"'],
    [
      { flags: { 'endpoint-url': 'localhost:9000' } },
      '--endpoint-url: expected an http:// or https:// URL such as https://s3.example.com, got "localhost:9000"',
    ],
    [{ flags: { region: ' ' } }, '--region: expected a name such as eu-central-1, got " "'],
    [{ flags: { 'cache-dir': '' } }, '--cache-dir: expected a path such as /var/cache/sluice, got ""'],
    [
      { file: 'regoin = "x"' },
      `regoin (${file}, line 1): expected the name of an option, got "regoin" (did you mean region?)`,
    ],
    [{ file: '[mount]\nuid = 1' }, `mount (${file}, line 1): expected the name of an option, got "mount"`],
    [
      { file: 'uid = [1]' },
      `uid (${file}, line 1): expected a whole number from 0 to 4294967294, got an array`,
    ],
    [
      { file: 'foreground = true' },
      `foreground (${file}, line 1): cannot be set in the configuration file; expected --foreground as a flag`,
    ],
    [
      { flags: { 'ca-bundle': '/missing.pem' } },
      '--ca-bundle: expected a file that can be read, got /missing.pem (ENOENT)',
    ],
    [
      { flags: { 'sse-customer-key-file': '/missing.key' } },
      '--sse-customer-key-file: expected a file that can be read, got /missing.key (ENOENT)',
    ],
  ];
  for (const [given, message] of known) t.equal(refusal(given), message);
  t.match(refusal({ file: 'region "x"' }), /config\.toml, line 1: expected TOML \(key = "value"\), got: /);
  t.end();
});

t.test('a wrong value is refused also where another source wins', (t) => {
  t.match(refusal({ flags: { uid: '1' }, file: 'uid = "many"' }), /^uid \(.*line 1\): expected/);
  t.end();
});

t.test('options that contradict each other are refused with both places', (t) => {
  const both = 'anonymous requests have no identity; expected one of the two, got both';
  t.equal(
    refusal({ flags: { 'no-sign-request': true }, file: 'profile = "x"' }),
    `--no-sign-request and profile (${file}, line 1) contradict each other: ${both}`,
  );
  t.equal(
    refusal({ flags: { 'no-sign-request': true, 'requester-pays': true } }),
    `--no-sign-request and --requester-pays contradict each other: ${both}`,
  );
  t.equal(refusal({ flags: { 'no-sign-request': true, 'requester-pays': false } }), 'accepted');
  t.equal(
    refusal({ flags: { 'prefetch-max': '4MiB' } }),
    '--prefetch-max: expected at least 16.0 MiB (the default of --part-size-max), got 4.00 MiB',
  );
  t.equal(
    refusal({ flags: { 'stall-timeout': '10s' }, environment: { SLUICE_READ_DEADLINE: '5s' } }),
    '--stall-timeout: expected less than 5.00 s (SLUICE_READ_DEADLINE), so that a stalled request can be tried again in time, got 10.0 s',
  );
  t.equal(
    refusal({ flags: { 'cache-dir': '/mnt/cache' } }),
    '--cache-dir: expected a path outside the mount point /mnt, got /mnt/cache',
  );
  t.equal(refusal({ flags: { 'cache-dir': '/mnt2' } }), 'accepted');
  t.end();
});

t.test('a command without a mount takes the same options, and knows which were given', (t) => {
  writeFileSync(file, 'part-size-max = "8MiB"\nuid = 7');
  const { config, given } = loadTransferConfig({
    bucket: 'bucket',
    prefix: 'a/',
    flags: { 'cache-dir': 'here', 'read-deadline': '2s' },
    environment: { SLUICE_HEDGE: 'off' },
    user: { uid: 1000, gid: 1000, homeDir: home, workingDir: '/work' },
  });
  t.match(config, {
    bucket: 'bucket',
    prefix: 'a/',
    cacheDir: '/work/here',
    partBytesMax: 8 * 1024 ** 2,
    hedge: false,
    readDeadlineMs: 2000,
    stallTimeoutMs: 1000,
  });
  t.equal(config.logFile, undefined);
  t.notOk('mountpoint' in config || 'uid' in config);
  t.strictSame([...given].toSorted(), ['cache-dir', 'hedge', 'part-size-max', 'read-deadline', 'uid']);
  t.end();
});
