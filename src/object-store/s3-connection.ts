/**
 * The connections of one S3 object store: a client for control calls and one for object bytes, each with sockets of
 * its own, both in the region that the bucket turns out to be in. Owned by s3-object-store.ts.
 */
import type { Logger } from '../observability/logger.js';
import type { Clock } from '../runtime/clock.js';
import { loadTrust } from './ca-bundle.js';
import { loadCustomerKey } from './customer-key.js';
import { normaliseEndpoint } from './endpoint.js';
import type { ObjectStoreErrorFacts } from './errors.js';
import { isProxied, NetworkHandler } from './network.js';
import { explainFailure } from './s3-errors.js';
import type { Failure } from './s3-errors.js';
import { SdkClient, configuredPlace, standardCredentials } from './sdk-client.js';
import type { SdkClientOptions } from './sdk-client.js';
import type { ObjectVersion } from './object-store.js';
import type { Origin } from './presigned-get.js';
import { SignedRequests } from './signed-requests.js';
import { Slots, splitConnections } from './slots.js';
import { SocketTransport } from './socket/socket-transport.js';

export interface S3ObjectStoreOptions {
  readonly bucket: string;
  /** Undefined: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the shared configuration, else AWS itself. */
  readonly endpointUrl: string | undefined;
  /** Undefined: the standard chain's, else us-east-1; the bucket's own region is followed either way. */
  readonly region: string | undefined;
  readonly profile: string | undefined;
  /** Anonymous requests. */
  readonly noSignRequest: boolean;
  readonly forcePathStyle: boolean;
  /** PEM file with certificate authorities to trust besides the built-in ones. Undefined: AWS_CA_BUNDLE. */
  readonly caBundle: string | undefined;
  readonly requesterPays: boolean;
  /** File with the key of objects that are encrypted with one of the customer's (SSE-C). */
  readonly sseCustomerKeyFile: string | undefined;
  /** At least 2; see `splitConnections`. */
  readonly connectionsMax: number;
  /** Threads that carry object bytes; 0 for none: all by the SDK then, which is slower. */
  readonly transferThreads: number;
  /** Connections for object bytes are closed when idle for so long. */
  readonly idleTimeoutMs: number;
  /** An attempt of a control call is given up when no byte came for this long. */
  readonly stallTimeoutMs: number;
}

export interface S3ObjectStoreDependencies {
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Sockets for one kind of call. */
class Lane {
  readonly network: NetworkHandler;
  readonly slots: Slots;
  client: SdkClient;

  constructor(network: NetworkHandler, socketsMax: number, options: SharedClientOptions) {
    this.network = network;
    this.slots = new Slots(socketsMax);
    this.client = new SdkClient({ ...options, network });
  }
}

type SharedClientOptions = Omit<SdkClientOptions, 'network'>;

/** Beyond this machine, plain HTTP shows everybody on the way what it carries. */
const LOOPBACK = /^http:\/\/(localhost|127(\.\d+){3}|\[::1\])(:|\/|$)/;
/** Connections that are used up within this are replaced by those that come back. */
const ASK_INTERVAL_MS = 100;

const DEFAULT_REGION = 'us-east-1';

/** @throws ObjectStoreError invalid_request when an option cannot be used */
export async function openConnection(
  options: S3ObjectStoreOptions,
  dependencies: S3ObjectStoreDependencies,
): Promise<S3Connection> {
  const { logger } = dependencies;
  const { profile, stallTimeoutMs } = options;
  const trust = await loadTrust(options.caBundle ?? (process.env['AWS_CA_BUNDLE'] || undefined));
  const customerKey = await loadCustomerKey(options.sseCustomerKeyFile, logger);
  const configured = await configuredPlace(profile);
  const sockets = splitConnections(options.connectionsMax);
  const controlNetwork = new NetworkHandler({
    socketsMax: sockets.control,
    connectTimeoutMs: stallTimeoutMs,
    idleTimeoutMs: stallTimeoutMs,
    tunnelTimeoutMs: stallTimeoutMs,
    trust: trust?.context,
    logger,
  });
  // Attempts at parts have a stall timer of their own, which knows when it is the sink that is slow.
  const dataNetwork = new NetworkHandler({
    socketsMax: sockets.data,
    connectTimeoutMs: 0,
    idleTimeoutMs: 0,
    tunnelTimeoutMs: stallTimeoutMs,
    trust: trust?.context,
    logger,
  });
  const client: SharedClientOptions = {
    bucket: options.bucket,
    endpointUrl: normaliseEndpoint(options.endpointUrl ?? configured.endpointUrl),
    region: options.region ?? configured.region ?? DEFAULT_REGION,
    forcePathStyle: options.forcePathStyle,
    requesterPays: options.requesterPays,
    customerKey,
    credentials: options.noSignRequest ? undefined : standardCredentials(profile, controlNetwork, logger),
  };
  if (customerKey !== undefined) warnOfPlainHttp(client.endpointUrl, logger);
  const control = new Lane(controlNetwork, sockets.control, client);
  const data = new Lane(dataNetwork, sockets.data, client);
  const threads = options.transferThreads;
  const idleTimeoutMs = options.idleTimeoutMs;
  const socket =
    threads === 0
      ? undefined
      : new SocketTransport(
          { threads, idleTimeoutMs, authorities: trust?.authorities, connectionsMax: sockets.data },
          dependencies,
        );
  return new S3Connection(dependencies, client, control, data, socket);
}

function warnOfPlainHttp(endpoint: string | undefined, logger: Logger): void {
  if (endpoint === undefined || !endpoint.startsWith('http:') || LOOPBACK.test(endpoint)) return;
  logger.warn({ endpoint }, 'the encryption key is sent over plain HTTP: use https://');
}

export class S3Connection {
  readonly #dependencies: S3ObjectStoreDependencies;
  readonly control: Lane;
  readonly data: Lane;
  /** Sends GETs by itself, see `signedRequests`; undefined when it is not wanted. */
  readonly socket: SocketTransport | undefined;
  #options: SharedClientOptions;
  #signedRequests: SignedRequests;
  /** Where object bytes come from, once known. */
  #origin: Origin | undefined;
  /** The connections that were asked for last. */
  #asked = { count: 0, atMs: -Infinity };
  /** The region was learned from the server, which is believed once. */
  #followed = false;

  constructor(
    dependencies: S3ObjectStoreDependencies,
    options: SharedClientOptions,
    control: Lane,
    data: Lane,
    socket: SocketTransport | undefined,
  ) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.control = control;
    this.data = data;
    this.socket = socket;
    this.#signedRequests = this.#signRequests();
  }

  get bucket(): string {
    return this.#options.bucket;
  }

  /** See `ObjectVersion.endpoint`. */
  get endpoint(): string {
    return this.#options.endpointUrl ?? `aws:${this.#options.region}`;
  }

  /** For requests that others send; another one once the region was learned, so not to be kept. */
  get signedRequests(): SignedRequests {
    return this.#signedRequests;
  }

  /** What it means that a call by `client` threw `thrown`. */
  explain(thrown: unknown, client: SdkClient, call: ObjectStoreErrorFacts): Failure {
    const { bucket, endpoint } = this;
    const sseCustomerKey = this.#options.customerKey !== undefined;
    return explainFailure(
      thrown,
      { ...call, bucket, endpoint, region: client.region, sseCustomerKey },
      this.#dependencies.clock,
    );
  }

  /** Takes in what a failure taught. True when the same call, by the client that is current then, may succeed. */
  learn({ bucketRegion, clockCorrected, error }: Failure): boolean {
    if (clockCorrected) return true;
    if (bucketRegion === undefined || bucketRegion === error.facts.region) return false;
    // Another call that failed in the same way may have been here before.
    return bucketRegion === this.#options.region || this.#follow(bucketRegion);
  }

  /**
   * Opens connections ahead, until so many are idle, and signs ahead for `version`; cheap enough for every lookup. What
   * the socket transport does not send goes out by connections that are opened when they are needed.
   */
  async expect(count: number, version?: ObjectVersion): Promise<void> {
    const { socket } = this;
    const nowMs = this.#dependencies.clock.nowMs();
    const asked = this.#asked;
    if (!socket?.usable || (count <= asked.count && nowMs - asked.atMs < ASK_INTERVAL_MS)) return;
    this.#asked = { count, atMs: nowMs };
    socket.start();
    const origin = (this.#origin ??= await this.#signedRequests.warmUp());
    if (origin === undefined || isProxied(origin)) return;
    socket.expect(origin, count);
    // Who fetches it finds out what is wrong.
    if (version !== undefined) await this.#signedRequests.get(version).catch(() => {});
  }

  close(): void {
    this.socket?.close();
    this.control.network.destroy();
    this.data.network.destroy();
  }

  #follow(region: string): boolean {
    if (this.#followed) return false;
    this.#followed = true;
    const { bucket, region: before } = this.#options;
    this.#dependencies.logger.warn(
      { bucket, region, before },
      'the bucket lives in another region: following it',
    );
    this.#options = { ...this.#options, region };
    for (const lane of [this.control, this.data]) {
      const { network, client } = lane;
      lane.client = new SdkClient({ ...this.#options, network, clockOffsetMs: client.clockOffsetMs });
    }
    this.#signedRequests = this.#signRequests();
    this.#origin = undefined;
    return true;
  }

  /** By the control client: listings and HEADs, which come before any GET, keep its clock right. */
  #signRequests(): SignedRequests {
    return new SignedRequests({ client: this.control.client, clock: this.#dependencies.clock });
  }
}
