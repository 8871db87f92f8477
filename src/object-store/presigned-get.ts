/**
 * A GET of one object version that others than the SDK send: made by the SDK up to its signing step, then signed in
 * its query instead of its headers, so that headers which differ from part to part (Range, If-Match) need no signature.
 * The part of `SdkClient.presignGet` that needs none of the SDK's code, and the shape in which signed-requests.ts hands
 * such requests out.
 */

import { assert } from '../runtime/assert.js';
import type { ObjectVersion } from './object-store.js';

/** Where to connect to. */
export interface Origin {
  readonly protocol: 'http:' | 'https:';
  /** A name, or an address without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** All of a request but what its sender adds: Range, If-Match, Connection. Holds secrets: not for logs. */
export interface SignedRequest {
  readonly origin: Origin;
  /** Value of the Host header, which is signed. */
  readonly hostHeader: string;
  /** Path and query exactly as they stand in the request line: normalised by nobody on the way. */
  readonly target: string;
  /** To be sent as they are. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface PresignedGet {
  readonly request: SignedRequest;
  /** The server's time from which on it refuses the signature; Infinity when there is none. */
  readonly expiresMs: number;
}

/** What is looked at of an SDK request. */
interface SdkRequest {
  readonly protocol: string;
  /** An IPv6 address stands in brackets. */
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>> | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** What the SDK's earlier steps left for its signing step. */
export interface SdkSigningContext {
  readonly endpointV2?: { readonly properties?: { readonly authSchemes?: readonly AuthScheme[] } };
  /** The session that a directory bucket wants instead of the credentials. */
  readonly s3ExpressIdentity?: Identity;
}

/** What the endpoint rules say of signatures. */
interface AuthScheme {
  readonly name: string;
  readonly signingRegion?: string;
  readonly signingName: string;
}

interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly expiration?: Date | undefined;
}

/** The part of a client's configuration that signs. */
interface SigningConfig {
  credentials(): Promise<Identity>;
  /** Gives a `Signer`; the SDK's type of it does not say so. */
  signer(authScheme: AuthScheme | undefined): Promise<unknown>;
}

interface Signer {
  presign(request: SdkRequest, options: SigningOptions): Promise<SdkRequest>;
  presignWithCredentials(
    request: SdkRequest,
    identity: Identity,
    options: SigningOptions,
  ): Promise<SdkRequest>;
}

interface SigningOptions {
  readonly signingDate: Date;
  /** Seconds. */
  readonly expiresIn: number;
  readonly signingRegion: string | undefined;
  readonly signingService: string | undefined;
  /** Names, in lower case, of headers that must not become part of the query. */
  readonly unhoistableHeaders: Set<string>;
}

/** A request as the SDK is about to sign it. */
export interface UnsignedGet {
  readonly request: SdkRequest;
  readonly authScheme: AuthScheme | undefined;
  readonly session: Identity | undefined;
}

/** No object's. */
export const TEMPLATE_KEY = 'key';

/** Zero is no valid lifetime; credentials may have less than that left. */
const EXPIRES_SECONDS_MIN = 1;

/** Headers that describe a single attempt of the SDK's; the last would become part of the query. */
const ATTEMPT_HEADERS: ReadonlySet<string> = new Set([
  'amz-sdk-invocation-id',
  'amz-sdk-request',
  'x-amz-user-agent',
]);

/** An answer that is all of the object tells its checksums as well. */
const CHECKSUM_MODE = { 'x-amz-checksum-mode': 'ENABLED' };

/**
 * Encryption keys stay out of the query, which servers and proxies log; S3 takes them in signed headers only. So do other
 * servers the checksum mode.
 */
const NOT_IN_QUERY = /^x-amz-(server-side-encryption|checksum-mode)/i;

export function unsignedOf(request: unknown, context: SdkSigningContext): UnsignedGet {
  const sdkRequest = request as SdkRequest;
  return {
    request: { ...sdkRequest, headers: { ...sdkRequest.headers, ...CHECKSUM_MODE } },
    authScheme: context.endpointV2?.properties?.authSchemes?.[0],
    session: context.s3ExpressIdentity,
  };
}

/** The GET of `version`, made from that of `TEMPLATE_KEY`: their requests differ in nothing else. */
export function getOf(
  template: UnsignedGet,
  { key, versionId }: Pick<ObjectVersion, 'key' | 'versionId'>,
): UnsignedGet {
  const { path, query } = template.request;
  assert(path.endsWith(`/${TEMPLATE_KEY}`), 'the path of a request ends with its key');
  const folder = path.slice(0, -TEMPLATE_KEY.length);
  const request = {
    ...template.request,
    path: folder + key.split('/').map(uriEncode).join('/'),
    query: versionId === undefined ? query : { ...query, versionId },
  };
  return { ...template, request };
}

/**
 * Signs as of `nowMs` of the server's time, for `lifetimeMsMax` or as long as the credentials last, if that is less.
 * @throws what the source of the credentials throws
 */
export async function presign(
  { request, authScheme, session }: UnsignedGet,
  config: SigningConfig,
  nowMs: number,
  lifetimeMsMax: number,
): Promise<PresignedGet> {
  const { expiration } = session ?? (await config.credentials());
  const leftMs = (expiration?.getTime() ?? Infinity) - nowMs;
  const expiresIn = Math.max(EXPIRES_SECONDS_MIN, Math.floor(Math.min(lifetimeMsMax, leftMs) / 1000));
  const options = {
    signingDate: new Date(nowMs),
    expiresIn,
    signingRegion: authScheme?.signingRegion,
    signingService: authScheme?.signingName,
    unhoistableHeaders: new Set(
      Object.keys(request.headers)
        .filter((name) => NOT_IN_QUERY.test(name))
        .map((name) => name.toLowerCase()),
    ),
  };
  const headers = { ...withoutAttempt(request.headers), 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD' };
  const unsigned = { ...request, headers };
  const signer = (await config.signer(authScheme)) as Signer;
  const signed = session
    ? await signer.presignWithCredentials(unsigned, session, options)
    : await signer.presign(unsigned, options);
  // Signatures carry whole seconds.
  const signedMs = Math.floor(nowMs / 1000) * 1000;
  return { request: signedRequestOf(signed), expiresMs: signedMs + expiresIn * 1000 };
}

export function signedRequestOf(request: SdkRequest): SignedRequest {
  const { host: hostHeader = '', ...headers } = withoutAttempt(request.headers);
  const protocol = request.protocol === 'http:' ? 'http:' : 'https:';
  const query = queryString(request.query ?? {});
  return {
    origin: {
      protocol,
      hostname: request.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: request.port ?? (protocol === 'http:' ? 80 : 443),
    },
    hostHeader,
    target: query === '' ? request.path : `${request.path}?${query}`,
    headers: Object.entries(headers),
  };
}

function withoutAttempt(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => !ATTEMPT_HEADERS.has(name.toLowerCase()));
  return Object.fromEntries(kept);
}

function queryString(query: NonNullable<SdkRequest['query']>): string {
  return Object.entries(query)
    .flatMap(([name, value]) => [value].flat().map((one) => `${uriEncode(name)}=${uriEncode(one ?? '')}`))
    .join('&');
}

/** RFC 3986, as signatures are computed: everything is escaped but unreserved characters. */
function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
