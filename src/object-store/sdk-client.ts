/**
 * The only importer of the AWS SDK: the calls that read one bucket, each a single attempt, in the words of this folder, and
 * the signing of GETs that others send. They throw what the SDK throws; s3-errors.ts explains it. Signing, credentials,
 * endpoints and XML are the SDK's.
 */
import type { Readable } from 'node:stream';
import {
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type { HeadObjectCommandOutput, S3ClientConfig, _Object } from '@aws-sdk/client-s3';
import { fromNodeProviderChain } from '@aws-sdk/credential-providers';
import type { Logger } from '../observability/logger.js';
import { asError, assert } from '../runtime/assert.js';
import { decodeListedKey } from './key-encoding.js';
import type { NetworkHandler } from './network.js';
import type { ByteRange, ListPage, ListRequest, ObjectInfo, ObjectVersion } from './object-store.js';
import { NonsenseError, quoted } from './part-response.js';
import type { PartResponseHead } from './part-response.js';
import { getOf, presign, signedRequestOf, TEMPLATE_KEY, unsignedOf } from './presigned-get.js';
import type { PresignedGet, SdkSigningContext, UnsignedGet } from './presigned-get.js';
import { objectChecksumsOf } from './object-checksums.js';
import type { ObjectChecksums } from './object-checksums.js';
import type { PartHead, PartsPage } from './part-sizes.js';

export interface SdkClientOptions {
  readonly bucket: string;
  readonly endpointUrl: string | undefined;
  readonly region: string;
  readonly forcePathStyle: boolean;
  readonly requesterPays: boolean;
  /** In base64: of objects that the server encrypts with it (SSE-C). */
  readonly customerKey: string | undefined;
  /** Undefined: anonymous requests. */
  readonly credentials: CredentialSource | undefined;
  readonly network: NetworkHandler;
  /** What a client before this one knew; see `clockOffsetMs`. Default 0. */
  readonly clockOffsetMs?: number | undefined;
}

export type CredentialSource = ReturnType<typeof fromNodeProviderChain>;

/** The head of an answer to a ranged GET, and its unread body. */
export interface PartResponse extends PartResponseHead {
  /** To be read to its end or destroyed: it holds a connection. */
  readonly body: Readable;
}

/** No credentials could be had; the cause is the provider's. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError';
}

// The SDK announces when its later versions will leave a Node version; Sluice pins the version it ships.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

/** The standard chain: environment, shared files and profiles, SSO, web identity, container and instance metadata. */
export function standardCredentials(
  profile: string | undefined,
  network: NetworkHandler,
  logger: Logger,
): CredentialSource {
  const chain = fromNodeProviderChain({
    ...(profile === undefined ? {} : { profile }),
    clientConfig: { requestHandler: network },
    // Instance metadata is one hop away or absent: one short attempt, so that its absence is found out quickly.
    timeout: 1000,
    maxRetries: 0,
    // Else its warnings go to the console.
    logger: {
      debug: () => {},
      info: () => {},
      warn: (message: string) => logger.warn(message),
      error: (message: string) => logger.error(message),
    },
  });
  return async (properties) => {
    try {
      return await chain(properties);
    } catch (error) {
      const where = profile === undefined ? '' : `profile ${profile}: `;
      throw new CredentialsError(where + asError(error).message, { cause: error });
    }
  };
}

/** Region and endpoint by environment and shared configuration. */
export async function configuredPlace(profile: string | undefined): Promise<{
  readonly region: string | undefined;
  readonly endpointUrl: string | undefined;
}> {
  const { config } = new S3Client(profile === undefined ? {} : { profile });
  // The SDK rejects when nothing names a region, which is no error here.
  const region = await config.region().catch(() => undefined);
  return { region, endpointUrl: await config.serviceConfiguredEndpoint?.() };
}

export class SdkClient {
  readonly region: string;
  readonly #client: S3Client;
  readonly #bucket: { readonly Bucket: string; readonly RequestPayer?: 'requester' };
  /** Goes with requests for an object. */
  readonly #encryption: { readonly SSECustomerAlgorithm?: 'AES256'; readonly SSECustomerKey?: string };
  readonly #anonymous: boolean;
  /** A GET before it is signed, from which those of other objects are made. */
  #template: UnsignedGet | undefined;

  constructor(options: SdkClientOptions) {
    this.region = options.region;
    this.#anonymous = options.credentials === undefined;
    this.#client = new S3Client(clientConfig(options));
    const { bucket, requesterPays, customerKey } = options;
    this.#bucket = requesterPays ? { Bucket: bucket, RequestPayer: 'requester' } : { Bucket: bucket };
    this.#encryption =
      customerKey === undefined ? {} : { SSECustomerAlgorithm: 'AES256', SSECustomerKey: customerKey };
  }

  /** The server's time less this machine's, by the answers so far; requests are signed with it. */
  get clockOffsetMs(): number {
    return this.#client.config.systemClockOffset;
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const answer = await this.#client.send(
      new ListObjectsV2Command({
        ...this.#bucket,
        Prefix: request.prefix,
        Delimiter: request.delimiter,
        ContinuationToken: request.continuation,
        MaxKeys: request.entriesMax,
        EncodingType: 'url',
      }),
      { abortSignal: signal },
    );
    // Every listing says whether it is complete; a page that does not is some other document.
    if (answer.IsTruncated === undefined) throw new NonsenseError('the answer is not an S3 listing');
    const continuation = answer.IsTruncated ? answer.NextContinuationToken : undefined;
    if (answer.IsTruncated && !continuation) throw new NonsenseError('a truncated listing without a token');
    const decode = answer.EncodingType === 'url' ? decodeListedKey : (key: string) => key;
    return {
      objects: (answer.Contents ?? []).map((object) => listedObject(object, decode)),
      prefixes: (answer.CommonPrefixes ?? []).map(({ Prefix }) => decode(Prefix ?? '')),
      continuation,
    };
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectInfo> {
    const command = new HeadObjectCommand({ ...this.#bucket, ...this.#encryption, Key: key });
    const answer = await this.#client.send(command, { abortSignal: signal });
    if (answer.ETag === undefined || answer.ContentLength === undefined) {
      throw new NonsenseError('a HEAD answer without ETag or Content-Length');
    }
    return {
      key,
      size: answer.ContentLength,
      etag: quoted(answer.ETag),
      lastModifiedMs: answer.LastModified?.getTime() ?? 0,
      archived: isArchived(answer),
    };
  }

  async objectChecksums(version: ObjectVersion, signal: AbortSignal): Promise<ObjectChecksums> {
    const command = new HeadObjectCommand({ ...this.#exactly(version), ChecksumMode: 'ENABLED' });
    return objectChecksumsOf(version, await this.#client.send(command, { abortSignal: signal }));
  }

  async partsPage(version: ObjectVersion, marker: number, signal: AbortSignal): Promise<PartsPage> {
    const { IfMatch: _, ...object } = this.#exactly(version);
    const answer = await this.#client.send(
      new GetObjectAttributesCommand({
        ...object,
        ObjectAttributes: ['ETag', 'ObjectParts'],
        PartNumberMarker: String(marker),
      }),
      { abortSignal: signal },
    );
    const { TotalPartsCount: partsTotal, Parts = [] } = answer.ObjectParts ?? {};
    const parts = Parts.map(({ PartNumber, Size }) => ({ number: PartNumber, bytes: Size }));
    return { etag: answer.ETag, partsTotal, parts };
  }

  async partHead(version: ObjectVersion, PartNumber: number, signal: AbortSignal): Promise<PartHead> {
    const command = new HeadObjectCommand({ ...this.#exactly(version), PartNumber });
    const { ETag, PartsCount, ContentLength } = await this.#client.send(command, { abortSignal: signal });
    return { etag: ETag, partsTotal: PartsCount, bytes: ContentLength };
  }

  async get(version: ObjectVersion, range: ByteRange, signal: AbortSignal): Promise<PartResponse> {
    const answer = await this.#client.send(
      new GetObjectCommand({
        ...this.#exactly(version),
        Range: `bytes=${range.start}-${range.end - 1}`,
      }),
      { abortSignal: signal },
    );
    return {
      status: answer.$metadata.httpStatusCode,
      etag: answer.ETag === undefined ? undefined : quoted(answer.ETag),
      contentRange: answer.ContentRange,
      contentLength: answer.ContentLength,
      body: answer.Body as Readable,
    };
  }

  #exactly({ key: Key, versionId: VersionId, etag: IfMatch }: ObjectVersion) {
    return { ...this.#bucket, ...this.#encryption, Key, VersionId, IfMatch };
  }

  /**
   * The request that `get` would send, without its Range and If-Match, signed in its query at `nowMs` of the server's
   * time. Sends nothing, but for what credentials and sessions take.
   */
  async presignGet(version: ObjectVersion, nowMs: number, lifetimeMsMax: number): Promise<PresignedGet> {
    const template = this.#template ?? (await this.#unsignedGet());
    // What it was made with besides ends sooner than this client.
    if (template.session === undefined) this.#template = template;
    const unsigned = getOf(template, version);
    if (this.#anonymous) return { request: signedRequestOf(unsigned.request), expiresMs: Infinity };
    return presign(unsigned, this.#client.config, nowMs, lifetimeMsMax);
  }

  /** Lets the SDK make the request, and ends its work where it would sign. That takes longer than the signature. */
  async #unsignedGet(): Promise<UnsignedGet> {
    const input = { ...this.#bucket, ...this.#encryption, Key: TEMPLATE_KEY };
    const command = new GetObjectCommand(input);
    let unsigned: UnsignedGet | undefined;
    command.middlewareStack.addRelativeTo(
      (_next: unknown, context: SdkSigningContext) => async (args: { readonly request?: unknown }) => {
        unsigned = unsignedOf(args.request, context);
        return { response: undefined, output: { $metadata: {} } };
      },
      { name: 'takeUnsigned', relation: 'before', toMiddleware: 'httpSigningMiddleware' },
    );
    await this.#client.send(command);
    assert(unsigned !== undefined, 'the SDK comes to its signing step');
    return unsigned;
  }
}

function clientConfig(options: SdkClientOptions): S3ClientConfig {
  const config: S3ClientConfig = {
    region: options.region,
    forcePathStyle: options.forcePathStyle,
    requestHandler: options.network,
    // Retries are Sluice's own: control-retry.ts says why.
    maxAttempts: 1,
    // Checksums of ranges do not exist; whole objects are checked by the cache.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  };
  if (options.endpointUrl !== undefined) config.endpoint = options.endpointUrl;
  if (options.clockOffsetMs !== undefined) config.systemClockOffset = options.clockOffsetMs;
  if (options.credentials) return { ...config, credentials: options.credentials };
  return {
    ...config,
    credentials: { accessKeyId: '', secretAccessKey: '' },
    signer: { sign: async (request) => request },
  };
}

function listedObject(object: _Object, decode: (key: string) => string): ObjectInfo {
  const { Key, Size, ETag } = object;
  if (Key === undefined || Size === undefined || ETag === undefined) {
    throw new NonsenseError('a listed object without key, size or ETag');
  }
  return {
    key: decode(Key),
    size: Size,
    etag: quoted(ETag),
    lastModifiedMs: object.LastModified?.getTime() ?? 0,
    archived: inArchiveClass(object.StorageClass),
  };
}

/** GLACIER_IR is read like any other class. */
function inArchiveClass(storageClass: string | undefined): boolean {
  return storageClass === 'GLACIER' || storageClass === 'DEEP_ARCHIVE';
}

/** `ArchiveStatus` is that of INTELLIGENT_TIERING. A copy restored from an archive can be read until it expires. */
function isArchived({ StorageClass, ArchiveStatus, Restore }: HeadObjectCommandOutput): boolean {
  if (!inArchiveClass(StorageClass) && ArchiveStatus === undefined) return false;
  return !/\bongoing-request="false"/.test(Restore ?? '');
}
