/** A server, a client of the AWS SDK for it, and raw access to its socket, for the tests of this folder. */
import { createConnection } from 'node:net';
import * as S3 from '@aws-sdk/client-s3';
import type { Test } from 'tap';
import { DEFAULT_CREDENTIALS, type S3Server, type S3ServerOptions } from '../../src/s3-server/server.js';
import { BUCKET, useServer } from '../support/s3-fixture.js';

export { BUCKET };

process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';

export interface Setup {
  readonly server: S3Server;
  readonly client: S3.S3Client;
}

export interface ClientChanges {
  readonly region?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** A server with the empty bucket `BUCKET` and a client that tries each request once. */
export async function setUp(t: Test, options: Partial<S3ServerOptions> = {}): Promise<Setup> {
  const internalErrors: Error[] = [];
  const server = await useServer(t, { onInternalError: (error) => internalErrors.push(error), ...options });
  t.teardown(() => {
    if (internalErrors.length > 0) throw new AggregateError(internalErrors, 'the server met internal errors');
  });
  return { server, client: clientFor(t, server) };
}

export function clientFor(
  t: Test,
  server: Pick<S3Server, 'endpoint'>,
  config: ClientChanges = {},
): S3.S3Client {
  const client = new S3.S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: DEFAULT_CREDENTIALS,
    maxAttempts: 1,
    ...config,
  });
  t.teardown(() => client.destroy());
  return client;
}

/** Status and code of the error that the promise ends in, as `412 PreconditionFailed`. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    const { name, $metadata } = error as S3.S3ServiceException;
    return `${$metadata?.httpStatusCode ?? 'none'} ${name}`;
  }
  return 'no failure';
}

export async function bytesOf(output: Pick<S3.GetObjectCommandOutput, 'Body'>): Promise<Buffer> {
  return Buffer.from((await output.Body?.transformToByteArray()) ?? []);
}

export async function textOf(output: Pick<S3.GetObjectCommandOutput, 'Body'>): Promise<string> {
  return (await bytesOf(output)).toString();
}

export interface RawAnswer {
  /** Everything the server sent, as latin1. */
  readonly text: string;
  /** How the connection ended. */
  readonly end: 'closed' | 'reset';
}

/** Sends bytes as they are and collects what comes until the connection ends. */
export function sendRaw(server: S3Server, request: string | Buffer): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const socket = createConnection(server.port, '127.0.0.1', () => void socket.write(request));
    let text = '';
    socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
    socket.once('error', () => resolve({ text, end: 'reset' }));
    socket.once('end', () => resolve({ text, end: 'closed' }));
  });
}

/** A request head without signature; the connection ends after the answer. */
export function plainGet(target: string, headers: readonly string[] = []): string {
  return [`GET ${target} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers, '', ''].join('\r\n');
}

/** The body of a raw answer. */
export function rawBody({ text }: RawAnswer): string {
  return text.slice(text.indexOf('\r\n\r\n') + 4);
}
