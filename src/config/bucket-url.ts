/** `s3://BUCKET[/PREFIX]`: what to mount, as it is given on the command line and shown in mount tables. */
import { ConfigError, shown } from './config-error.js';

export interface BucketUrl {
  readonly bucket: string;
  /** '' or a prefix ending in '/'. */
  readonly prefix: string;
}

/** S3's limit for a key, in bytes of UTF-8. */
const KEY_BYTES_MAX = 1024;

/**
 * The prefix is taken as it stands (keys are not paths: `//` and `..` mean themselves), with '/' at its end.
 * @throws ConfigError
 */
export function parseBucketUrl(text: string): BucketUrl {
  const { bucket, key } = parseObjectUrl(text);
  return { bucket, prefix: normalizePrefix(key, text) };
}

export interface ObjectUrl {
  readonly bucket: string;
  /** '' for the bucket itself. */
  readonly key: string;
}

/** `s3://BUCKET[/KEY]`, the key as it stands. @throws ConfigError */
export function parseObjectUrl(text: string): ObjectUrl {
  const [, rest] = /^s3:\/\/(.*)$/is.exec(text) ?? [];
  if (rest === undefined)
    throw new ConfigError(`expected s3://BUCKET[/PREFIX], got ${shown(text)}${schemeHint(text)}`);
  const slash = rest.indexOf('/');
  const bucket = slash < 0 ? rest : rest.slice(0, slash);
  checkBucket(bucket, text);
  return { bucket, key: slash < 0 ? '' : rest.slice(slash + 1) };
}

export function formatBucketUrl({ bucket, prefix }: BucketUrl): string {
  return `s3://${bucket}/${prefix}`;
}

function schemeHint(text: string): string {
  if (/^https?:/i.test(text)) return '; give the server by --endpoint-url and the bucket as s3://BUCKET';
  if (/^arn:/i.test(text)) return '; give the name of the bucket, not its ARN';
  const bare = text.replace(/^\w*:?\/*/, (start) => (start.includes(':') ? '' : start));
  return isBucketName(bare.split('/', 1)[0] ?? '') ? `; did you mean s3://${bare}?` : '';
}

/** The general rules of S3; old buckets and other servers also know capitals and underscores, up to 255 characters. */
function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]$/i.test(name) && !name.includes('..');
}

function checkBucket(bucket: string, text: string): void {
  if (isBucketName(bucket)) return;
  const got = bucket === '' ? `no bucket in ${shown(text)}` : shown(bucket);
  throw new ConfigError(
    `expected a bucket name (3 or more letters, digits, dots and hyphens, beginning and ending with a letter or digit), got ${got}`,
  );
}

function normalizePrefix(prefix: string, text: string): string {
  if (prefix === '') return '';
  const normalized = prefix.endsWith('/') ? prefix : `${prefix}/`;
  if (normalized.includes('\0')) {
    throw new ConfigError(`expected a prefix without NUL characters, got ${shown(text)}`);
  }
  if (Buffer.byteLength(normalized) > KEY_BYTES_MAX) {
    const got = Buffer.byteLength(normalized);
    throw new ConfigError(`expected a prefix of at most ${KEY_BYTES_MAX} bytes, got ${got} bytes`);
  }
  return normalized;
}
