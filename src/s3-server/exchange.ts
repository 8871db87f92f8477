/**
 * One request from the parsed head to the end of the answer: identify, count, authenticate, apply faults, handle,
 * send. Called by server.ts. Nothing that a client sends can make it throw: every failure ends in an S3 error
 * document or, once the head of the answer is out, in a closed connection.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { asError } from '../runtime/assert.js';
import { sleep } from '../runtime/clock.js';
import { resetConnection, stallForever, writeBody, type BodySource } from './body-writer.js';
import type { Connections } from './connections.js';
import type { Counters, RequestMeter } from './counters.js';
import { S3Error } from './errors.js';
import { RequestFaults, type FaultScript } from './faults.js';
import { operationOf, type OperationName } from './operation-names.js';
import { header, parseTarget, type PayloadCheck, type RequestTarget } from './request.js';
import { sliceSegments } from './model.js';
import { errorResponse, type ResponseBody, type S3Response } from './responses.js';
import { ANONYMOUS_OPERATIONS, HANDLERS } from './router.js';
import { SegmentReader } from './segment-reader.js';
import type { Service } from './service.js';
import { isSigned, unsignedPayload, verifySignature, type Credentials } from './sigv4.js';

export interface ExchangeContext extends Service {
  readonly credentials: readonly Credentials[];
  readonly anonymousRead: boolean;
  readonly faults: FaultScript;
  readonly counters: Counters;
  readonly connections: Connections;
  /** Told of every error that is no S3Error: a bug or a failing disk. */
  readonly onInternalError: (error: Error) => void;
}

/** Operations that may answer 200 and bring the error in the document. */
const LATE_ERROR_OPERATIONS: readonly OperationName[] = [
  'CompleteMultipartUpload',
  'CopyObject',
  'UploadPartCopy',
];
/** What is left of a refused upload is read and thrown away, so that the client sees the answer; but not for ever. */
const DISCARDED_BYTES_MAX = 64 * 1024 * 1024;

export class Exchange {
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #context: ExchangeContext;
  readonly #abort = new AbortController();
  readonly #requestId = randomBytes(8).toString('hex').toUpperCase();
  #operation: OperationName | undefined;
  #meter: RequestMeter;
  #faults = new RequestFaults([]);

  constructor(message: IncomingMessage, response: ServerResponse, context: ExchangeContext) {
    this.#message = message;
    this.#response = response;
    this.#context = context;
    this.#meter = context.counters.unidentified();
    // 'close' comes when the answer is complete, when the client has left, and when the server closes.
    response.once('close', () => this.#abort.abort());
    // Errors of the connection show as an abort; without a listener they would end the process.
    response.on('error', () => undefined);
    message.on('error', () => undefined);
  }

  /** Never rejects. */
  async run(): Promise<void> {
    let answer: S3Response | undefined;
    try {
      answer = await this.#answer();
    } catch (error) {
      answer = this.#errorAnswer(error);
    }
    if (answer === undefined || this.#signal.aborted) {
      release(answer?.body);
      return;
    }
    try {
      await this.#send(answer);
    } catch (error) {
      // Once the head is out, only the end of the connection can tell the client.
      const instead = this.#errorAnswer(error);
      if (this.#response.headersSent || answer.isError === true) this.#message.socket.destroy();
      else await this.#send(instead);
    } finally {
      release(answer.body);
    }
  }

  get #signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Returns undefined when a fault has taken the connection. */
  async #answer(): Promise<S3Response | undefined> {
    const { connections, counters, faults } = this.#context;
    const target = parseTarget(this.#message);
    const operation = operationOf(target);
    this.#operation = operation;
    this.#meter = counters.requestBegun(operation, target.bucket, target.key);
    if (faults.roundTripMs > 0) {
      await connections.travel(this.#message.socket, faults.roundTripMs, this.#signal);
    }
    const payload = this.#authenticate(target, operation);
    this.#faults = faults.match({
      operation,
      bucket: target.bucket,
      key: target.key,
      range: header(target, 'range'),
    });
    if (await this.#connectionIsTaken()) return undefined;
    if (this.#faults.error !== undefined) throw this.#faults.error;
    const late = this.#faults.find('error-in-200');
    if (late !== undefined && LATE_ERROR_OPERATIONS.includes(operation))
      throw new S3Error(late.code ?? 'InternalError', 'We encountered an internal error. Please try again.', {
        status: 200,
      });

    const answer = await HANDLERS[operation](
      {
        ...target,
        payload,
        body: this.#message,
        signal: this.#signal,
        faults: this.#faults,
        bodyArrived: (bytes) => {
          this.#meter.received(bytes);
          return this.#throttle(bytes);
        },
      },
      this.#context,
    );
    if (!this.#faults.resetsAt('after-effect')) return answer;
    release(answer.body);
    resetConnection(this.#message.socket);
    return undefined;
  }

  #authenticate(target: RequestTarget, operation: OperationName): PayloadCheck {
    const { credentials, region, clock, anonymousRead } = this.#context;
    if (isSigned(target))
      return verifySignature(target, { credentials, region, wallTimeMs: clock.wallTimeMs() });
    if (anonymousRead && ANONYMOUS_OPERATIONS.has(operation)) return unsignedPayload(target);
    throw new S3Error('AccessDenied', 'Access Denied');
  }

  /** Latency, and the faults that come before an answer. */
  async #connectionIsTaken(): Promise<boolean> {
    if (this.#faults.latencyMs > 0) await sleep(this.#context.clock, this.#faults.latencyMs, this.#signal);
    if (this.#faults.stallsBeforeHeaders) await stallForever(this.#signal);
    if (this.#faults.resetsAt('before-headers')) resetConnection(this.#message.socket);
    return this.#signal.aborted || this.#message.socket.destroyed;
  }

  #errorAnswer(error: unknown): S3Response {
    const s3Error =
      error instanceof S3Error
        ? error
        : new S3Error('InternalError', 'We encountered an internal error. Please try again.', {
            cause: error,
          });
    if (s3Error !== error) this.#context.onInternalError(asError(error));
    const path = (this.#message.url ?? '').split('?')[0] ?? '';
    return errorResponse(s3Error, path, this.#requestId);
  }

  async #send(answer: S3Response): Promise<void> {
    const { body } = answer;
    const isHead = this.#message.method === 'HEAD';
    const sizeBytes = bodySize(body);
    this.#response.writeHead(answer.status, {
      ...(hasNoBody(answer) ? {} : { 'content-length': String(sizeBytes) }),
      ...answer.headers,
      ...this.#shiftedContentRange(answer),
      'x-amz-request-id': this.#requestId,
      'x-amz-id-2': this.#requestId,
      server: 'Sluice',
    });
    if (this.#operation === 'GetObject') this.#recordGet(answer);
    this.#discardRestOfRequest();
    if (isHead || body === undefined) {
      this.#response.end();
      return;
    }
    if (answer.isError === true) {
      this.#response.end(body.kind === 'document' ? body.bytes : undefined);
      return;
    }
    await this.#sendBody(body, sizeBytes);
  }

  async #sendBody(body: ResponseBody, sizeBytes: number): Promise<void> {
    const { clock, faults: script, storage } = this.#context;
    const source =
      body.kind === 'document' ? documentSource(body.bytes) : objectSource(body, storage.blobs, sizeBytes);
    try {
      await writeBody(this.#response, source, {
        clock,
        faults: this.#faults,
        meter: this.#meter,
        signal: this.#signal,
        connectionBytesPerSecond: () => script.connectionBytesPerSecond,
        throttle: (bytes) => this.#throttle(bytes),
      });
    } finally {
      await source.close();
    }
  }

  #shiftedContentRange(answer: S3Response): Record<string, string> {
    const fault = this.#faults.find('wrong-content-range');
    const match = /^bytes (\d+)-(\d+)(\/\d+)$/.exec(answer.headers['content-range'] ?? '');
    if (fault === undefined || match === null) return {};
    const [start, last] = [Number(match[1]), Number(match[2])].map((at) => at + (fault.shiftBytes ?? 1));
    return { 'content-range': `bytes ${start}-${last}${match[3]}` };
  }

  #recordGet({ status, body }: S3Response): void {
    if (body?.kind === 'object') this.#meter.getBegun(body.start, body.end, status);
    else {
      const [start = '', last = ''] =
        /^bytes=(\d+)-(\d*)$/.exec(this.#message.headers.range ?? '')?.slice(1) ?? [];
      this.#meter.getBegun(Number(start), last === '' ? Number(start) : Number(last) + 1, status);
    }
  }

  async #throttle(bytes: number): Promise<void> {
    const { connections, faults } = this.#context;
    if (faults.connectionBytesPerSecond === 0) return;
    const { pacer } = connections.of(this.#message.socket);
    await pacer.take(bytes, faults.connectionBytesPerSecond, this.#signal);
  }

  #discardRestOfRequest(): void {
    if (this.#message.readableEnded || this.#message.destroyed) return;
    let discardedBytes = 0;
    this.#message.on('data', (piece: Buffer) => {
      discardedBytes += piece.length;
      if (discardedBytes > DISCARDED_BYTES_MAX) this.#message.socket.destroy();
    });
  }
}

interface ClosableSource extends BodySource {
  close(): Promise<void>;
}

function documentSource(bytes: Buffer): ClosableSource {
  let at = 0;
  return {
    sizeBytes: bytes.length,
    objectOffset: 0,
    read: async (target) => {
      const copied = bytes.copy(target, 0, at);
      at += copied;
      return copied;
    },
    close: async () => undefined,
  };
}

function objectSource(
  body: Extract<ResponseBody, { kind: 'object' }>,
  blobs: Service['storage']['blobs'],
  sizeBytes: number,
): ClosableSource {
  const reader = new SegmentReader(blobs, sliceSegments(body.segments, body.start, body.end));
  return {
    sizeBytes,
    objectOffset: body.start,
    read: (target) => reader.read(target),
    close: () => reader.close(),
  };
}

/** By HTTP, these have neither a body nor a Content-Length. */
function hasNoBody({ status }: S3Response): boolean {
  return status === 204 || status === 304;
}

function bodySize(body: ResponseBody | undefined): number {
  if (body === undefined) return 0;
  return body.kind === 'document' ? body.bytes.length : body.end - body.start;
}

function release(body: ResponseBody | undefined): void {
  if (body?.kind === 'object') body.release();
}
