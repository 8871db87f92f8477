import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import t from 'tap';
import { formatBucketUrl, parseBucketUrl } from '../../src/config/bucket-url.js';
import { resolveMountpoint } from '../../src/config/mountpoint.js';

t.test('a bucket, with or without a prefix, which ends in a slash from then on', (t) => {
  t.strictSame(parseBucketUrl('s3://bucket'), { bucket: 'bucket', prefix: '' });
  t.strictSame(parseBucketUrl('s3://bucket/'), { bucket: 'bucket', prefix: '' });
  t.strictSame(parseBucketUrl('S3://bucket/a'), { bucket: 'bucket', prefix: 'a/' });
  t.strictSame(parseBucketUrl('s3://my.bucket-1/a/b/'), { bucket: 'my.bucket-1', prefix: 'a/b/' });
  t.end();
});

t.test('a prefix is no path: nothing in it is resolved', (t) => {
  t.equal(parseBucketUrl('s3://bucket/a//b').prefix, 'a//b/');
  t.equal(parseBucketUrl('s3://bucket//').prefix, '/');
  t.equal(parseBucketUrl('s3://bucket/../x').prefix, '../x/');
  t.equal(parseBucketUrl('s3://bucket/ü?x=1#y').prefix, 'ü?x=1#y/');
  t.end();
});

t.test('what is written is read back', (t) => {
  const bucket = fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/);
  const prefix = fc.string({ unit: 'binary', maxLength: 100 }).map((text) => text.replaceAll('\0', ''));
  fc.assert(
    fc.property(bucket, prefix, (bucket, prefix) => {
      const url = parseBucketUrl(`s3://${bucket}/${prefix}`);
      t.strictSame(parseBucketUrl(formatBucketUrl(url)), url);
    }),
  );
  t.end();
});

t.test('each refusal says what was expected, what was got, and what may have been meant', (t) => {
  const form = 'expected s3://BUCKET[/PREFIX], got';
  const name =
    'expected a bucket name (3 or more letters, digits, dots and hyphens, beginning and ending with a letter or digit), got';
  const known: [string, string][] = [
    ['bucket', `${form} "bucket"; did you mean s3://bucket?`],
    ['bucket/models', `${form} "bucket/models"; did you mean s3://bucket/models?`],
    ['s3:/bucket', `${form} "s3:/bucket"; did you mean s3://bucket?`],
    [
      'https://s3.example.com/bucket',
      `${form} "https://s3.example.com/bucket"; give the server by --endpoint-url and the bucket as s3://BUCKET`,
    ],
    ['arn:aws:s3:::bucket', `${form} "arn:aws:s3:::bucket"; give the name of the bucket, not its ARN`],
    ['', `${form} ""`],
    ['s3://', `${name} no bucket in "s3://"`],
    ['s3:///key', `${name} no bucket in "s3:///key"`],
    ['s3://ab', `${name} "ab"`],
    ['s3://-bucket', `${name} "-bucket"`],
    ['s3://a..b', `${name} "a..b"`],
    ['s3://my bucket', `${name} "my bucket"`],
    ['s3://bucket?x=1', `${name} "bucket?x=1"`],
  ];
  for (const [text, message] of known) t.throws(() => parseBucketUrl(text), { message });
  t.throws(() => parseBucketUrl(`s3://bucket/${'x'.repeat(1024)}`), {
    message: 'expected a prefix of at most 1024 bytes, got 1025 bytes',
  });
  t.end();
});

t.test('a mount point is spelled as the kernel spells it: absolute, links resolved', (t) => {
  const folder = t.testdir();
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  symlinkSync('loop', join(folder, 'loop'));
  t.equal(resolveMountpoint('real/', folder), join(folder, 'real'));
  t.equal(resolveMountpoint('link', folder), join(folder, 'real'));
  t.equal(resolveMountpoint('link/below', folder), join(folder, 'real/below'));
  t.equal(resolveMountpoint('real/../real', folder), join(folder, 'real'));
  t.equal(resolveMountpoint('missing/too', folder), join(folder, 'missing/too'));
  t.equal(resolveMountpoint('loop', folder), join(folder, 'loop'));
  t.equal(resolveMountpoint('/', folder), '/');
  t.throws(() => resolveMountpoint('', folder), { message: 'expected a directory as MOUNTPOINT, got ""' });
  t.end();
});
