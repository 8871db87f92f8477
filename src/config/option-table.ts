/**
 * Every option of a mount, once: its name (flag, environment variable and file key follow from it), kind, range,
 * default and help. The command line, the environment, the configuration file, `--help` and docs/OPTIONS.md are all
 * made from this table. Values are written as a user would write them, and read by option-schema.ts.
 */
import type { OptionSpec } from './option-spec.js';

export const OPTIONS = [
  {
    name: 'endpoint-url',
    kind: 'url',
    group: 'Bucket',
    placeholder: 'URL',
    help: 'S3 server to talk to',
    defaultText: 'AWS, by region',
    example: 'https://s3.example.com',
    otherVariables: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
  },
  {
    name: 'region',
    kind: 'text',
    group: 'Bucket',
    placeholder: 'NAME',
    help: "region to sign for; the bucket's own region is followed",
    defaultText: "the AWS chain's, else us-east-1",
    example: 'eu-central-1',
  },
  {
    name: 'profile',
    kind: 'text',
    group: 'Bucket',
    placeholder: 'NAME',
    help: 'profile of the shared AWS configuration files',
    defaultText: 'the AWS chain decides',
    example: 'research',
  },
  {
    name: 'no-sign-request',
    kind: 'boolean',
    group: 'Bucket',
    help: 'read a public bucket anonymously, without credentials',
    default: false,
  },
  {
    name: 'force-path-style',
    kind: 'boolean',
    group: 'Bucket',
    help: 'address the bucket as URL/BUCKET, not BUCKET.URL; most servers other than AWS want it',
    default: false,
  },
  {
    name: 'ca-bundle',
    kind: 'path',
    group: 'Bucket',
    placeholder: 'FILE',
    help: 'certificate authorities (PEM) to trust besides the built-in ones',
    defaultText: 'none',
    example: '/etc/ssl/private-ca.pem',
    otherVariables: ['AWS_CA_BUNDLE'],
  },
  {
    name: 'requester-pays',
    kind: 'boolean',
    group: 'Bucket',
    help: 'agree to pay for requests to a bucket whose owner asks for it',
    default: false,
  },
  {
    name: 'sse-customer-key-file',
    kind: 'path',
    group: 'Bucket',
    placeholder: 'FILE',
    help: 'key of objects encrypted with a customer-provided key (SSE-C): 32 bytes, raw, base64 or hex',
    defaultText: 'none',
    example: '/etc/sluice/models.key',
  },
  {
    name: 'driver',
    kind: 'choice',
    group: 'Mount',
    placeholder: 'NAME',
    help: 'how to talk to the kernel; auto takes native on Linux where it can be loaded',
    choices: ['auto', 'native', 'portable'],
    default: 'auto',
  },
  {
    name: 'fuse-threads',
    kind: 'count',
    group: 'Mount',
    placeholder: 'NUMBER',
    help: 'threads of the native driver that take requests from the kernel',
    default: '2',
    min: '1',
    max: '16',
  },
  {
    name: 'passthrough',
    kind: 'boolean',
    group: 'Mount',
    help: 'native driver, as root: the kernel reads complete files by itself; --no-passthrough for never',
    default: true,
  },
  {
    name: 'allow-other',
    kind: 'boolean',
    group: 'Mount',
    help: 'let other users in, as the permission bits allow; --no-allow-other keeps them out',
    defaultText: 'on as root, else off',
  },
  {
    name: 'uid',
    kind: 'count',
    group: 'Mount',
    placeholder: 'NUMBER',
    help: 'owner of all files and directories',
    defaultText: 'yours',
    example: '1000',
    min: '0',
    max: '4294967294',
  },
  {
    name: 'gid',
    kind: 'count',
    group: 'Mount',
    placeholder: 'NUMBER',
    help: 'group of all files and directories',
    defaultText: 'yours',
    example: '1000',
    min: '0',
    max: '4294967294',
  },
  {
    name: 'file-mode',
    kind: 'mode',
    group: 'Mount',
    placeholder: 'OCTAL',
    help: 'permission bits of files',
    default: '0444',
    min: '0',
    max: '0777',
  },
  {
    name: 'dir-mode',
    kind: 'mode',
    group: 'Mount',
    placeholder: 'OCTAL',
    help: 'permission bits of directories',
    default: '0555',
    min: '0',
    max: '0777',
  },
  {
    name: 'metadata-ttl',
    kind: 'duration',
    group: 'Mount',
    placeholder: 'TIME',
    help: 'how old names, sizes and versions may be; 0 asks at each lookup',
    default: '60s',
    min: '0s',
    max: '24h',
  },
  {
    name: 'read-deadline',
    kind: 'duration',
    group: 'Streaming',
    placeholder: 'TIME',
    help: 'a read that waited this long fails (EIO); nothing hangs for ever',
    default: '60s',
    min: '100ms',
    max: '1h',
  },
  {
    name: 'stall-timeout',
    kind: 'duration',
    group: 'Streaming',
    placeholder: 'TIME',
    help: 'a request that brings nothing for this long is tried again',
    defaultText: '3s, or half of --read-deadline if that is less',
    example: '3s',
    min: '50ms',
    max: '10m',
  },
  {
    name: 'connections-max',
    kind: 'count',
    group: 'Streaming',
    placeholder: 'NUMBER',
    help: 'HTTP connections at most',
    default: '16',
    min: '2',
    max: '256',
  },
  {
    name: 'connection-idle-timeout',
    kind: 'duration',
    group: 'Streaming',
    placeholder: 'TIME',
    help: 'close connections that were idle for so long',
    default: '20s',
    min: '1s',
    max: '10m',
  },
  {
    name: 'transfer-threads',
    kind: 'count',
    group: 'Streaming',
    placeholder: 'NUMBER',
    help: 'threads that carry object bytes from the network to the disk; 0 for the slower way without them',
    default: '1',
    min: '0',
    max: '8',
  },
  {
    name: 'part-size-max',
    kind: 'size',
    group: 'Streaming',
    placeholder: 'SIZE',
    help: 'largest single request for object bytes',
    default: '8MiB',
    min: '64KiB',
    max: '256MiB',
  },
  {
    name: 'prefetch-max',
    kind: 'size',
    group: 'Streaming',
    placeholder: 'SIZE',
    help: 'how far to fetch ahead of a sequential reader, at least --part-size-max',
    default: '128MiB',
    min: '64KiB',
    max: '64GiB',
  },
  {
    name: 'cache-dir',
    kind: 'path',
    group: 'Local files',
    placeholder: 'DIR',
    help: 'where fetched bytes are kept while the bucket is mounted',
    defaultText: '$XDG_CACHE_HOME/sluice or ~/.cache/sluice',
    example: '/var/cache/sluice',
  },
  {
    name: 'cache-bytes-max',
    kind: 'size',
    group: 'Local files',
    placeholder: 'SIZE',
    help: 'bytes kept for objects nobody has open',
    defaultText: '20GiB, or half of the free space if that is less',
    example: '20GiB',
    min: '0',
    max: '1024TiB',
  },
  {
    name: 'log-file',
    kind: 'path',
    group: 'Logging',
    placeholder: 'FILE',
    help: 'write the log here (JSON lines, 5 files of 10MiB)',
    defaultText:
      '$XDG_STATE_HOME/sluice/MOUNTPOINT.log or ~/.local/state/…; in the foreground: standard error',
    example: '/var/log/sluice.log',
  },
  {
    name: 'log-level',
    kind: 'choice',
    group: 'Logging',
    placeholder: 'LEVEL',
    help: 'how much to log',
    choices: ['error', 'warn', 'info', 'debug', 'trace'],
    default: 'info',
  },
  {
    name: 'trace-reads',
    kind: 'boolean',
    group: 'Logging',
    help: 'log the beginning and the end of every read, with its ids',
    default: false,
  },
  {
    name: 'foreground',
    kind: 'boolean',
    group: 'General',
    help: 'stay in the foreground: the started process is the daemon',
    default: false,
    sources: ['flag'],
  },
  {
    name: 'config',
    kind: 'path',
    group: 'General',
    placeholder: 'FILE',
    help: 'configuration file (TOML)',
    defaultText: '$XDG_CONFIG_HOME/sluice/config.toml or ~/.config/…, when it exists',
    example: '/etc/sluice.toml',
    sources: ['flag', 'environment'],
  },
] as const satisfies readonly OptionSpec[];

type Spec = (typeof OPTIONS)[number];

export type OptionName = Spec['name'];

type ValueOf<S extends OptionSpec> = S extends { kind: 'choice'; choices: readonly (infer Choice)[] }
  ? Choice
  : S extends { kind: 'boolean' }
    ? boolean
    : S extends { kind: 'size' | 'duration' | 'count' | 'mode' }
      ? number
      : string;

/** What the options say, in bytes and milliseconds; undefined where nobody set one whose default is derived. */
export type OptionValues = {
  readonly [S in Spec as S['name']]: S extends { default: string | boolean }
    ? ValueOf<S>
    : ValueOf<S> | undefined;
};

export function flagOf(name: string): string {
  return `--${name}`;
}

export function variableOf(name: string): string {
  return `SLUICE_${name.toUpperCase().replaceAll('-', '_')}`;
}
