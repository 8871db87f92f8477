/**
 * Receives the body of an upload: takes the aws-chunked framing off, checks every digest the client announced
 * (Content-MD5, x-amz-content-sha256, x-amz-checksum-… as header or trailer), and stores the bytes. Also reads the
 * small XML bodies. Nothing is visible to anybody until the caller commits what is returned.
 */
import { createHash } from 'node:crypto';
import { checksumAlgorithm, CHECKSUM_ALGORITHMS, checksumHeader, startChecksum } from './checksums.js';
import { ChunkedDecoder } from './chunked-decoder.js';
import { S3Error } from './errors.js';
import type { BlobStore, BlobWriter } from './blob-store.js';
import { INLINE_BYTES_MAX, inlineSegments, type ChecksumAlgorithm, type Segment } from './model.js';
import { announcedChecksum } from './object-headers.js';
import { header, type S3Request } from './request.js';

/** The largest body of one PUT, as in S3. */
const BODY_BYTES_MAX = 5 * 1024 ** 3;
/** 10,000 parts, or 1,000 keys of 1,024 bytes with every byte escaped, fit in. */
const XML_BYTES_MAX = 8 * 1024 * 1024;

export interface ReceivedBody {
  readonly segments: readonly Segment[];
  readonly sizeBytes: number;
  readonly md5Hex: string;
  /** The one the client announced, or the one `wanted`. */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined;
}

/** Throws S3Error when the body is not what the request announced; then nothing is left behind. */
export async function receiveBody(
  request: S3Request,
  blobs: BlobStore,
  wanted?: ChecksumAlgorithm,
): Promise<ReceivedBody> {
  const announcedBytes = announcedLength(request);
  if (announcedBytes > BODY_BYTES_MAX) {
    throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', {
      elements: { ProposedSize: String(announcedBytes), MaxSizeAllowed: String(BODY_BYTES_MAX) },
    });
  }
  const digests = new Digests(request, wanted);
  const pieces: Buffer[] = [];
  let blob: BlobWriter | undefined;
  if (announcedBytes > INLINE_BYTES_MAX) blob = await blobs.create();
  try {
    let sizeBytes = 0;
    for await (const piece of decodedBody(request, digests.trailers)) {
      sizeBytes += piece.length;
      if (sizeBytes > announcedBytes) throw incomplete();
      digests.update(piece);
      if (blob === undefined) pieces.push(piece);
      else await blob.write(piece);
    }
    if (sizeBytes !== announcedBytes) throw incomplete();
    const { md5Hex, checksum } = await digests.check();
    await blob?.publish();
    const segments = blob === undefined ? inlineSegments(Buffer.concat(pieces)) : blob.segments;
    return { segments, sizeBytes, md5Hex, checksum };
  } catch (error) {
    await blob?.discard();
    throw error;
  }
}

/** The whole body of an XML request, its digests checked. */
export async function receiveXml(request: S3Request): Promise<string> {
  const digests = new Digests(request, undefined);
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of decodedBody(request, digests.trailers)) {
    sizeBytes += piece.length;
    if (sizeBytes > XML_BYTES_MAX) throw new S3Error('MaxMessageLengthExceeded', 'Your request was too big.');
    digests.update(piece);
    pieces.push(piece);
  }
  await digests.check();
  return Buffer.concat(pieces).toString('utf8');
}

function announcedLength(request: S3Request): number {
  const name = request.payload.chunked ? 'x-amz-decoded-content-length' : 'content-length';
  const text = header(request, name);
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text);
  throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.');
}

/** The bytes of the body as the object will have them. Trailers are set when it has ended. */
async function* decodedBody(request: S3Request, trailers: Map<string, string>): AsyncGenerator<Buffer, void> {
  const decoder = request.payload.chunked ? new ChunkedDecoder(request.payload.chunkVerifier) : undefined;
  try {
    // A refused body must not take the connection with it: the client is to read why.
    const pieces = request.body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const piece of pieces) {
      await request.bodyArrived(piece.length);
      if (decoder === undefined) yield piece;
      else yield* decoder.push(piece);
    }
  } catch (error) {
    // The client left in the middle: nobody reads the answer, but the handler must end.
    throw error instanceof S3Error ? error : incomplete(error);
  }
  decoder?.end();
  for (const [name, value] of decoder?.trailers ?? []) trailers.set(name, value);
}

/** The digests of one body: computed as it arrives, compared with what was announced at the end. */
class Digests {
  /** Filled by `decodedBody`. */
  readonly trailers = new Map<string, string>();
  readonly #md5 = createHash('md5');
  readonly #sha256 = createHash('sha256');
  readonly #announcedMd5: string | undefined;
  readonly #announcedSha256: string | undefined;
  readonly #announced: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined;
  readonly #algorithm: ChecksumAlgorithm | undefined;
  readonly #checksum;
  readonly #expectsTrailer: boolean;

  constructor(request: S3Request, wanted: ChecksumAlgorithm | undefined) {
    this.#announcedMd5 = header(request, 'content-md5');
    if (this.#announcedMd5 !== undefined && Buffer.from(this.#announcedMd5, 'base64').length !== 16)
      throw new S3Error('InvalidDigest', 'The Content-MD5 you specified was invalid');
    this.#announcedSha256 = request.payload.sha256;
    this.#announced = announcedChecksum(request);
    const byTrailer = trailerAlgorithm(request);
    this.#expectsTrailer = byTrailer !== undefined;
    this.#algorithm = this.#announced?.algorithm ?? byTrailer ?? requestedAlgorithm(request) ?? wanted;
    this.#checksum = this.#algorithm === undefined ? undefined : startChecksum(this.#algorithm);
  }

  update(bytes: Buffer): void {
    this.#md5.update(bytes);
    if (this.#announcedSha256 !== undefined) this.#sha256.update(bytes);
    this.#checksum?.update(bytes);
  }

  /** Throws S3Error BadDigest, XAmzContentSHA256Mismatch. */
  async check(): Promise<Pick<ReceivedBody, 'md5Hex' | 'checksum'>> {
    const md5 = this.#md5.digest();
    if (this.#announcedMd5 !== undefined && md5.toString('base64') !== this.#announcedMd5)
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
    if (this.#announcedSha256 !== undefined && this.#sha256.digest('hex') !== this.#announcedSha256)
      throw new S3Error(
        'XAmzContentSHA256Mismatch',
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
      );
    const md5Hex = md5.toString('hex');
    if (this.#algorithm === undefined || this.#checksum === undefined) return { md5Hex };
    const value = await this.#checksum.digest();
    const trailer = this.trailers.get(checksumHeader(this.#algorithm));
    if (this.#expectsTrailer && trailer === undefined)
      throw new S3Error('InvalidRequest', 'The trailer that x-amz-trailer announces is missing');
    const announced = this.#announced?.value ?? trailer ?? value;
    if (announced !== value)
      throw new S3Error(
        'BadDigest',
        `The ${this.#algorithm} you specified did not match the calculated checksum.`,
      );
    return { md5Hex, checksum: { algorithm: this.#algorithm, value } };
  }
}

/** The checksum that the trailer will bring. */
function trailerAlgorithm(request: S3Request): ChecksumAlgorithm | undefined {
  const trailer = header(request, 'x-amz-trailer')?.trim().toLowerCase();
  return CHECKSUM_ALGORITHMS.find((algorithm) => checksumHeader(algorithm) === trailer);
}

/** The checksum that the client wants to be kept, though it may send none. */
function requestedAlgorithm(request: S3Request): ChecksumAlgorithm | undefined {
  return checksumAlgorithm(header(request, 'x-amz-sdk-checksum-algorithm') ?? '');
}

function incomplete(cause?: unknown): S3Error {
  return new S3Error(
    'IncompleteBody',
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
    {
      cause,
    },
  );
}
