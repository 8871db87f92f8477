/** What every handler is given besides the request. */
import type { Clock } from '../runtime/clock.js';
import type { S3Request } from './request.js';
import type { S3Response } from './responses.js';
import type { Storage } from './storage.js';

export interface Service {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly region: string;
}

/** Throws S3Error for everything that S3 answers with an error. */
export type Handler = (request: S3Request, service: Service) => Promise<S3Response>;
