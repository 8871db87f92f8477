import t from 'tap';
import { loadMountConfig } from '../../src/config/load.js';
import { expected, parseOption } from '../../src/config/option-schema.js';
import { flagOf, variableOf } from '../../src/config/option-spec.js';
import { OPTIONS } from '../../src/config/option-table.js';
import type { OptionName } from '../../src/config/option-values.js';
import type { OptionSpec } from '../../src/config/option-spec.js';
import type { Flags } from '../../src/config/resolve.js';

/** For each option a value that differs from what the user of `load` gets without it. */
const OTHER_VALUES: Record<OptionName, string> = {
  'endpoint-url': 'https://s3.example.com',
  region: 'eu-central-1',
  profile: 'research',
  'no-sign-request': 'true',
  'force-path-style': 'true',
  'ca-bundle': '/etc/hostname',
  'sse-customer-key-file': '/etc/hostname',
  'requester-pays': 'true',
  driver: 'portable',
  'fuse-threads': '4',
  passthrough: 'false',
  'allow-other': 'true',
  uid: '7',
  gid: '8',
  'file-mode': '0400',
  'dir-mode': '0500',
  'metadata-ttl': '1s',
  'read-deadline': '5s',
  'stall-timeout': '1s',
  'connections-max': '4',
  'connection-idle-timeout': '9s',
  'transfer-threads': '3',
  'part-size-max': '1MiB',
  'prefetch-max': '16MiB',
  hedge: 'off',
  'cache-dir': '/elsewhere',
  'cache-bytes-max': '1GiB',
  'cache-free-min': '2GiB',
  verify: 'full',
  'log-file': '/elsewhere.log',
  'log-level': 'debug',
  'trace-reads': 'true',
  foreground: 'true',
  config: '/dev/null',
};

function load(flags: Flags) {
  const user = { uid: 1000, gid: 1000, homeDir: '/home/nobody-here', workingDir: '/' };
  return loadMountConfig({ source: 's3://bucket', mountpoint: '/mnt', flags, environment: {}, user });
}

t.test('names are unique, and so are the flags and variables that follow from them', (t) => {
  for (const nameOf of [(name: string) => name, flagOf, variableOf]) {
    t.equal(new Set(OPTIONS.map(({ name }) => nameOf(name))).size, OPTIONS.length);
  }
  for (const { name } of OPTIONS) t.match(name, /^[a-z]+(-[a-z]+)*$/);
  t.end();
});

t.test('every option explains itself in one line and says what it is without it', (t) => {
  for (const option of OPTIONS) {
    const spec: OptionSpec = option;
    t.ok(spec.help.length >= 10 && spec.help.length <= 100, `help of ${spec.name}`);
    t.notMatch(spec.help, /\.$|\n/, `help of ${spec.name} is a phrase`);
    t.ok((spec.default === undefined) !== (spec.defaultText === undefined), `one default of ${spec.name}`);
    t.equal(spec.placeholder === undefined, spec.kind === 'boolean', `placeholder of ${spec.name}`);
    t.equal(spec.min === undefined, spec.max === undefined, `bounds of ${spec.name}`);
    t.equal(spec.choices !== undefined, spec.kind === 'choice', `choices of ${spec.name}`);
  }
  t.end();
});

t.test('defaults, examples and bounds are values the option takes', (t) => {
  for (const option of OPTIONS) {
    const spec: OptionSpec = option;
    for (const text of [spec.default, spec.example, spec.min, spec.max]) {
      if (text !== undefined) parseOption(spec, String(text), 'text', spec.name);
    }
    t.ok(expected(spec).length > 0, spec.name);
  }
  t.end();
});

t.test('every option reaches the configuration of the mount', (t) => {
  const unset = load({});
  for (const { name } of OPTIONS) {
    if (name === 'config') continue; // Its effect is the other options': test/config/resolve.test.ts.
    t.strictNotSame(load({ [name]: OTHER_VALUES[name] }), unset, name);
  }
  t.end();
});

t.test('a mount without any option', (t) => {
  const { config, foreground } = load({});
  t.equal(foreground, false);
  t.match(config.logFile, /^\/home\/nobody-here\/\.local\/state\/sluice\/mnt-[0-9a-f]{8}\.log$/);
  t.strictSame(
    { ...config, logFile: undefined },
    {
      bucket: 'bucket',
      prefix: '',
      mountpoint: '/mnt',
      endpointUrl: undefined,
      region: undefined,
      profile: undefined,
      noSignRequest: false,
      forcePathStyle: false,
      caBundle: undefined,
      requesterPays: false,
      sseCustomerKeyFile: undefined,
      connectionsMax: 32,
      idleTimeoutMs: 20_000,
      transferThreads: 2,
      stallTimeoutMs: 3000,
      driver: 'auto',
      fuseThreads: 2,
      passthrough: true,
      allowOther: false,
      uid: 1000,
      gid: 1000,
      fileMode: 0o444,
      dirMode: 0o555,
      metadataTtlMs: 60_000,
      readDeadlineMs: 60_000,
      partBytesMax: 16 * 1024 ** 2,
      prefetchBytesMax: 128 * 1024 ** 2,
      hedge: true,
      cacheDir: '/home/nobody-here/.cache/sluice',
      cacheBytesMax: undefined,
      cacheFreeBytesMin: undefined,
      verify: 'crc',
      logFile: undefined,
      logLevel: 'info',
      traceReads: false,
    },
  );
  t.end();
});
