/** The endpoint of an S3-compatible server, in the one form in which it identifies object versions. */
import { ObjectStoreError } from './errors.js';

/**
 * Scheme, host in lower case, port unless it is the scheme's own, path without a slash at its end.
 * @throws ObjectStoreError invalid_request
 */
export function normaliseEndpoint(endpointUrl: string | undefined): string | undefined {
  if (endpointUrl === undefined) return undefined;
  const url = URL.canParse(endpointUrl) ? new URL(endpointUrl) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    // What was given is not repeated: it may hold a password.
    const message = 'the endpoint is not a plain http:// or https:// URL: correct --endpoint-url';
    throw new ObjectStoreError('invalid_request', message, { operation: 'connect' });
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}
