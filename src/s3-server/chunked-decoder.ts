/**
 * Takes the aws-chunked framing off an upload: `size-hex[;chunk-signature=…]\r\n data \r\n … 0\r\n trailers \r\n\r\n`.
 * A push parser: upload-body.ts feeds it the body as it arrives, in pieces cut anywhere, and writes what comes out.
 * Checks the chunk signatures when there are any.
 */
import { createHash, type Hash } from 'node:crypto';
import { assert } from '../runtime/assert.js';
import { S3Error } from './errors.js';
import type { ChunkVerifier } from './request.js';

/** The longest line: a size with its signature, or a trailer with a SHA-256; S3's are well below 200 bytes. */
const LINE_BYTES_MAX = 4096;
const TRAILERS_MAX = 16;
const TRAILER_SIGNATURE = 'x-amz-trailer-signature';

type State =
  | { readonly name: 'size-line' }
  | {
      readonly name: 'data';
      remaining: number;
      readonly signature: string | undefined;
      readonly hash: Hash | undefined;
    }
  | { readonly name: 'data-end' }
  | { readonly name: 'trailers' }
  | { readonly name: 'done' };

export class ChunkedDecoder {
  /** By lower-case name; complete once `isDone`. */
  readonly trailers = new Map<string, string>();
  readonly #verifier: ChunkVerifier | undefined;
  #state: State = { name: 'size-line' };
  /** The beginning of a line whose end has not arrived yet. */
  #line = '';
  #signedTrailerText = '';

  constructor(verifier?: ChunkVerifier) {
    this.#verifier = verifier;
  }

  get isDone(): boolean {
    return this.#state.name === 'done';
  }

  /** Returns the data bytes in `bytes`, as views of it. Throws S3Error for bad framing or signatures. */
  push(bytes: Buffer): Buffer[] {
    const data: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const state = this.#state;
      if (state.name === 'done') throw invalid('There are bytes after the last chunk');
      if (state.name !== 'data') {
        at = this.#readLine(bytes, at);
        continue;
      }
      const piece = bytes.subarray(at, at + state.remaining);
      data.push(piece);
      at += piece.length;
      state.remaining -= piece.length;
      state.hash?.update(piece);
      if (state.remaining === 0) this.#endChunk(state.signature, state.hash);
    }
    return data;
  }

  /** The body has ended. Throws S3Error IncompleteBody unless the framing has ended too. */
  end(): void {
    if (!this.isDone) throw new S3Error('IncompleteBody', 'The request body terminated unexpectedly');
  }

  #endChunk(signature: string | undefined, hash: Hash | undefined): void {
    if (hash !== undefined) this.#verifier?.verifyChunk(signature, hash.digest('hex'));
    this.#state = { name: 'data-end' };
  }

  /** Takes bytes up to a line end into `#line` and handles the line if it is complete. Returns the position after. */
  #readLine(bytes: Buffer, at: number): number {
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline;
    if (this.#line.length + end - at > LINE_BYTES_MAX)
      throw invalid('A line of the chunk framing is too long');
    this.#line += bytes.toString('latin1', at, end);
    if (newline < 0) return end;
    if (!this.#line.endsWith('\r')) throw invalid('A line of the chunk framing does not end in CRLF');
    const line = this.#line.slice(0, -1);
    this.#line = '';
    this.#handleLine(line);
    return newline + 1;
  }

  #handleLine(line: string): void {
    switch (this.#state.name) {
      case 'size-line':
        this.#startChunk(line);
        return;
      case 'data-end':
        if (line !== '') throw invalid('A chunk is longer than its size says');
        this.#state = { name: 'size-line' };
        return;
      case 'trailers':
        this.#handleTrailer(line);
        return;
      case 'data':
      case 'done':
        assert(false, 'lines are read between chunks only');
    }
  }

  #startChunk(line: string): void {
    const match = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
    if (match === null) throw invalid('A chunk size is malformed');
    const remaining = Number.parseInt(match[1] ?? '', 16);
    const hash = this.#verifier === undefined ? undefined : createHash('sha256');
    if (remaining > 0) {
      this.#state = { name: 'data', remaining, signature: match[2], hash };
      return;
    }
    if (hash !== undefined) this.#verifier?.verifyChunk(match[2], hash.digest('hex'));
    this.#state = { name: 'trailers' };
  }

  #handleTrailer(line: string): void {
    if (line === '') {
      const isUnsigned = this.#signedTrailerText !== '' && !this.trailers.has(TRAILER_SIGNATURE);
      if (isUnsigned) this.#verifier?.verifyTrailer(undefined, this.#signedTrailerText);
      this.#state = { name: 'done' };
      return;
    }
    const colon = line.indexOf(':');
    if (colon <= 0 || this.trailers.size >= TRAILERS_MAX) throw invalid('A trailer is malformed');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === TRAILER_SIGNATURE) this.#verifier?.verifyTrailer(value, this.#signedTrailerText);
    else this.#signedTrailerText += `${name}:${value}\n`;
    this.trailers.set(name, value);
  }
}

function invalid(message: string): S3Error {
  return new S3Error('InvalidRequest', message);
}
