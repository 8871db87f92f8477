/** What handlers return, and how errors look. exchange.ts completes and sends it. */
import type { S3Error } from './errors.js';
import type { Segment } from './model.js';
import { xmlDocument, xmlErrorDocument, type XmlElement } from './xml.js';

export interface S3Response {
  readonly status: number;
  /** By lower-case name. Content-Length is set from the body unless it is given (HEAD). */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: ResponseBody | undefined;
  /** The body is an error document: byte faults and counters leave it alone. */
  readonly isError?: boolean | undefined;
}

export type ResponseBody =
  | { readonly kind: 'document'; readonly bytes: Buffer }
  | {
      readonly kind: 'object';
      /** The bytes [start, end) of the object, in full. */
      readonly segments: readonly Segment[];
      readonly start: number;
      readonly end: number;
      /** Takes back the pin on the segments; the server calls it once the body is sent or given up. */
      readonly release: () => void;
    };

export function emptyResponse(status: number, headers: Readonly<Record<string, string>> = {}): S3Response {
  return { status, headers };
}

export function xmlResponse(
  root: string,
  content: XmlElement | string,
  headers: Readonly<Record<string, string>> = {},
): S3Response {
  return documentResponse(200, xmlDocument(root, content), headers);
}

/** `target` is the path of the request, repeated in the document as S3 does. */
export function errorResponse(error: S3Error, resource: string, requestId: string): S3Response {
  if (error.code === 'NotModified') return { status: 304, headers: error.headers, isError: true };
  const content = {
    Code: error.code,
    Message: error.message,
    ...error.elements,
    Resource: resource,
    RequestId: requestId,
  };
  return { ...documentResponse(error.status, xmlErrorDocument(content), error.headers), isError: true };
}

function documentResponse(
  status: number,
  text: string,
  headers: Readonly<Record<string, string>>,
): S3Response {
  const bytes = Buffer.from(text);
  return {
    status,
    headers: { 'content-type': 'application/xml', ...headers },
    body: { kind: 'document', bytes },
  };
}
