/**
 * What `sluice serve-s3` does: checks the options, reads the PEM files, starts the server, and says in a few lines
 * how to use it. The command line only parses the arguments and prints.
 */
import { readFile } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import { DEFAULT_CREDENTIALS, startS3Server, type S3Server, type SimulatedNetwork } from './server.js';
import type { Credentials } from './sigv4.js';

export interface ServeS3Options {
  readonly dir: string;
  readonly port: number;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Serve on an address that other machines can reach. */
  readonly allowRemote?: boolean | undefined;
  readonly tlsCertFile?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
  readonly accessKey?: string | undefined;
  readonly secretKey?: string | undefined;
  readonly region?: string | undefined;
  /** Created when missing. */
  readonly bucket?: string | undefined;
  readonly anonymousRead?: boolean | undefined;
  readonly network?: SimulatedNetwork | undefined;
  /** For AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which count when the options are not given. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onInternalError?: ((error: Error) => void) | undefined;
}

export interface ServedS3 {
  readonly server: S3Server;
  /** To be printed once the server listens. */
  readonly lines: readonly string[];
}

/** Options that cannot be obeyed; the message says what was wrong and what to do. */
export class ServeS3OptionsError extends Error {
  override readonly name = 'ServeS3OptionsError';
}

export async function serveS3(options: ServeS3Options): Promise<ServedS3> {
  const host = options.host ?? '127.0.0.1';
  if (!isLoopback(host) && options.allowRemote !== true) {
    throw new ServeS3OptionsError(
      `host ${host} can be reached from other machines, and this server is made for tests and trials: use 127.0.0.1, or allow it explicitly`,
    );
  }
  const credentials = chooseCredentials(options);
  const tls = await readTls(options);
  const { dir, port, region, anonymousRead, network, onInternalError } = options;
  const server = await startS3Server({
    dir,
    port,
    host,
    region,
    anonymousRead,
    network,
    onInternalError,
    credentials: [credentials],
    tls,
  });
  try {
    if (options.bucket !== undefined) await server.createBucket(options.bucket);
  } catch (error) {
    await server.close();
    throw error;
  }
  return { server, lines: usage(server, options, credentials) };
}

function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  return isIP(host) !== 0 && loopback.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}

function chooseCredentials({ accessKey, secretKey, environment }: ServeS3Options): Credentials {
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    const [given, missing] = accessKey === undefined ? ['secret', 'access'] : ['access', 'secret'];
    throw new ServeS3OptionsError(
      `the ${given} key was given without the ${missing} key: give both, or none for the default pair`,
    );
  }
  if (accessKey !== undefined && secretKey !== undefined)
    return { accessKeyId: accessKey, secretAccessKey: secretKey };
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  return accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : DEFAULT_CREDENTIALS;
}

async function readTls({
  tlsCertFile,
  tlsKeyFile,
}: ServeS3Options): Promise<{ cert: string; key: string } | undefined> {
  if (tlsCertFile === undefined && tlsKeyFile === undefined) return undefined;
  if (tlsCertFile === undefined || tlsKeyFile === undefined)
    throw new ServeS3OptionsError(
      'TLS needs both a certificate file and a key file (PEM): give both, or none for plain HTTP',
    );
  const [cert, key] = await Promise.all([readPem(tlsCertFile, 'certificate'), readPem(tlsKeyFile, 'key')]);
  return { cert, key };
}

async function readPem(path: string, what: string): Promise<string> {
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new ServeS3OptionsError(`cannot read the TLS ${what} file ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (text.includes('-----BEGIN ')) return text;
  throw new ServeS3OptionsError(`the TLS ${what} file ${path} is not a PEM file: it has no BEGIN line`);
}

function usage(server: S3Server, options: ServeS3Options, credentials: Credentials): string[] {
  const isDefault = credentials === DEFAULT_CREDENTIALS;
  // Secrets that somebody chose are not printed.
  const secret = isDefault ? credentials.secretAccessKey : '(as given)';
  const environment = isDefault
    ? `AWS_ACCESS_KEY_ID=${credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${credentials.secretAccessKey} `
    : '';
  const caBundle = options.tlsCertFile === undefined ? '' : ` --ca-bundle ${options.tlsCertFile}`;
  const bucket = options.bucket ?? 'BUCKET';
  return [
    `endpoint:    ${server.endpoint}`,
    `folder:      ${options.dir}`,
    `access key:  ${credentials.accessKeyId}`,
    `secret key:  ${secret}`,
    `mount with:  ${environment}sluice mount s3://${bucket} MOUNTPOINT --endpoint-url ${server.endpoint}${caBundle}`,
  ];
}
