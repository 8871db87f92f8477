/**
 * The key of objects that the server encrypts with a key of the customer's (SSE-C): read from its file once, when an
 * object store is made. Its value goes into requests and nowhere else: no error, log or status repeats any of it.
 */
import { open } from 'node:fs/promises';
import type { Logger } from '../observability/logger.js';
import { asError } from '../runtime/assert.js';
import { ObjectStoreError } from './errors.js';

/** AES-256, the only algorithm there is. */
const KEY_BYTES = 32;
/** 64 hexadecimal digits, and room for white space around them. */
const FILE_BYTES_MAX = 256;
const READABLE_BY_OTHERS = 0o044;

/**
 * The key in base64. Undefined when `path` is.
 * @throws ObjectStoreError invalid_request
 */
export async function loadCustomerKey(path: string | undefined, logger: Logger): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const { bytes, mode } = await readKeyFile(path);
  const key = parseKey(bytes);
  if (key === undefined) {
    const forms = `${KEY_BYTES} bytes, or ${KEY_BYTES} bytes as 44 characters of base64 or 64 of hex`;
    const got = bytes.length < FILE_BYTES_MAX ? `${bytes.length} bytes` : 'more';
    throw badKeyFile(path, `does not hold an AES-256 key: expected ${forms}, got ${got}`);
  }
  if ((mode & READABLE_BY_OTHERS) !== 0) {
    logger.warn({ path }, 'other users can read the file of the encryption key: chmod 600 keeps it yours');
  }
  return key.toString('base64');
}

async function readKeyFile(path: string): Promise<{ readonly bytes: Buffer; readonly mode: number }> {
  try {
    const file = await open(path);
    try {
      const { mode } = await file.stat();
      const { buffer, bytesRead } = await file.read(Buffer.alloc(FILE_BYTES_MAX));
      return { mode, bytes: buffer.subarray(0, bytesRead) };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw badKeyFile(path, `cannot be read: ${asError(error).message}`, error);
  }
}

/** Exactly 32 bytes are the key itself, whatever they look like. */
function parseKey(bytes: Buffer): Buffer | undefined {
  if (bytes.length === KEY_BYTES) return bytes;
  const text = bytes.toString('latin1').trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  return /^[A-Za-z0-9+/]{43}=$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}

function badKeyFile(path: string, problem: string, cause?: unknown): ObjectStoreError {
  const message = `the key file ${path} ${problem}; correct --sse-customer-key-file`;
  return new ObjectStoreError('invalid_request', message, { operation: 'connect' }, cause);
}
