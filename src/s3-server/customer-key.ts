/**
 * SSE-C: objects that can be read only with the key that they were written with. Nothing is encrypted here, since the
 * bytes of a server for tests need no protection: the MD5 of the key is kept beside the object, and every request for
 * the bytes must bring a key with the same one, as S3 asks. Unlike S3, plain HTTP will do: this server is on loopback.
 */
import { createHash } from 'node:crypto';
import { S3Error } from './errors.js';
import { header, type RequestTarget } from './request.js';

const OWN = 'x-amz-server-side-encryption-customer-';
const OF_COPY_SOURCE = 'x-amz-copy-source-server-side-encryption-customer-';
const KEY_BYTES = 32;

/** The MD5, in base64, of the key that the request brings; undefined without one. Throws S3Error InvalidArgument. */
export function givenKeyMd5(target: RequestTarget): string | undefined {
  return readKey(target, OWN);
}

/** `keyMd5` is that of the object. Throws S3Error InvalidRequest or AccessDenied unless the request has its key. */
export function demandKey(target: RequestTarget, keyMd5: string | undefined): void {
  compareKeys(readKey(target, OWN), keyMd5);
}

export function demandKeyOfCopySource(target: RequestTarget, keyMd5: string | undefined): void {
  compareKeys(readKey(target, OF_COPY_SOURCE), keyMd5);
}

/** `keyMd5` is that of the upload. Throws S3Error InvalidRequest unless the part is for the same key. */
export function demandKeyOfUpload(target: RequestTarget, keyMd5: string | undefined): void {
  const given = readKey(target, OWN);
  if (given === keyMd5) return;
  throw new S3Error(
    'InvalidRequest',
    given === undefined
      ? 'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.'
      : 'The provided encryption parameters did not match the ones used originally.',
  );
}

/** What answers say of the encryption. */
export function keyHeaders(keyMd5: string | undefined): Record<string, string> {
  return keyMd5 === undefined ? {} : { [`${OWN}algorithm`]: 'AES256', [`${OWN}key-md5`]: keyMd5 };
}

function readKey(target: RequestTarget, prefix: string): string | undefined {
  const [algorithm, key, md5] = ['algorithm', 'key', 'key-md5'].map((name) => header(target, prefix + name));
  if (algorithm === undefined && key === undefined && md5 === undefined) return undefined;
  const lacks = (what: string) =>
    new S3Error(
      'InvalidArgument',
      `Requests specifying Server Side Encryption with Customer provided keys must provide ${what}.`,
    );
  if (algorithm !== 'AES256') throw lacks('a valid encryption algorithm');
  if (key === undefined) throw lacks('an appropriate secret key');
  if (md5 === undefined) throw lacks('the client calculated MD5 of the secret key');
  const bytes = Buffer.from(key, 'base64');
  if (bytes.length !== KEY_BYTES)
    throw new S3Error('InvalidArgument', 'The secret key was invalid for the specified algorithm.');
  if (createHash('md5').update(bytes).digest('base64') === md5) return md5;
  throw new S3Error(
    'InvalidArgument',
    'The calculated MD5 hash of the key did not match the hash that was provided.',
  );
}

function compareKeys(given: string | undefined, kept: string | undefined): void {
  if (given === kept) return;
  if (given === undefined) {
    throw new S3Error(
      'InvalidRequest',
      'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
    );
  }
  if (kept === undefined)
    throw new S3Error('InvalidRequest', 'The encryption parameters are not applicable to this object.');
  throw new S3Error('AccessDenied', 'Access Denied');
}
