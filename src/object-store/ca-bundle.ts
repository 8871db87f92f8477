/**
 * Certificate authorities to trust besides the built-in ones, from a PEM file: read once when an object store is
 * made. Every mistake in the file is an error of its own instead of a TLS failure later.
 */
import { readFile } from 'node:fs/promises';
import { createSecureContext, rootCertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { asError } from '../runtime/assert.js';
import { ObjectStoreError } from './errors.js';

export interface Trust {
  /** PEM, for other threads. */
  readonly authorities: readonly string[];
  /** One for all connections: parsing some hundred roots takes 10 ms, too long to repeat at each. */
  readonly context: SecureContext;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Trust in the built-in authorities, those of `path`, and those of NODE_EXTRA_CA_CERTS (which Node itself leaves out
 * as soon as a context names its authorities). Undefined when `path` is: Node's own default then.
 * @throws ObjectStoreError invalid_request
 */
export async function loadTrust(path: string | undefined): Promise<Trust | undefined> {
  if (path === undefined) return undefined;
  const extra = process.env['NODE_EXTRA_CA_CERTS'];
  const ca = [...rootCertificates, ...(await readCertificates(path))];
  const authorities = extra ? [...ca, ...(await readCertificates(extra))] : ca;
  return { authorities, context: createSecureContext({ ca: authorities }) };
}

async function readCertificates(path: string): Promise<readonly string[]> {
  let text;
  try {
    text = await readFile(path, 'latin1');
  } catch (error) {
    throw badBundle(path, `cannot be read: ${asError(error).message}`, error);
  }
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw badBundle(path, 'holds no PEM certificate');
  for (const [index, certificate] of certificates.entries()) {
    try {
      void new X509Certificate(certificate);
    } catch (error) {
      throw badBundle(path, `has a certificate that cannot be parsed (number ${index + 1})`, error);
    }
  }
  return certificates;
}

function badBundle(path: string, problem: string, cause?: unknown): ObjectStoreError {
  const message = `the CA bundle ${path} ${problem}; give a PEM file with --ca-bundle or AWS_CA_BUNDLE`;
  return new ObjectStoreError('invalid_request', message, { operation: 'connect' }, cause);
}
