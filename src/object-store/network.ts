/**
 * How requests leave this machine: keep-alive connections with a limit, the trusted certificate authorities, and the
 * proxies of the environment, none of which the AWS SDK takes care of by itself. The only importer of
 * @smithy/node-http-handler, hpagent and proxy-from-env. One handler serves one kind of request (control or data);
 * requests for credentials (STS, SSO) go through the control handler too.
 */
import { Agent as HttpAgent, IncomingMessage } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { SecureContext } from 'node:tls';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { HttpProxyAgent, HttpsProxyAgent } from 'hpagent';
import type { ProxyAgentRequestOptions } from 'hpagent';
import { getProxyForUrl } from 'proxy-from-env';
import type { Logger } from '../observability/logger.js';
import { asError } from '../runtime/assert.js';
import { ObjectStoreError } from './errors.js';
import type { Origin } from './presigned-get.js';

export interface NetworkOptions {
  readonly socketsMax: number;
  /** A connection must stand after this long. 0: no limit here. */
  readonly connectTimeoutMs: number;
  /** A connection in use must bring a byte this often. 0: no limit here. */
  readonly idleTimeoutMs: number;
  /** A proxy must open a tunnel after this long. */
  readonly tunnelTimeoutMs: number;
  readonly trust: SecureContext | undefined;
  readonly logger: Logger;
}

type Request = Parameters<NodeHttpHandler['handle']>[0];
type RequestOptions = Parameters<NodeHttpHandler['handle']>[1];
type Response = ReturnType<NodeHttpHandler['handle']>;

/** The proxy answered, but did not open a tunnel. */
export class ProxyRefusedError extends Error {
  override readonly name = 'ProxyRefusedError';
  /** Without user and password. */
  readonly proxy: string;

  constructor(proxy: URL, cause: Error) {
    super(`the proxy ${proxy.origin} did not open a tunnel: ${cause.message}`, { cause });
    this.proxy = proxy.origin;
  }
}

/** Connects directly itself, and hands requests that the environment sends through a proxy to a handler per proxy. */
export class NetworkHandler extends NodeHttpHandler {
  readonly #options: NetworkOptions;
  readonly #proxied = new Map<string, NodeHttpHandler>();

  constructor(options: NetworkOptions) {
    const agent = agentOptions(options);
    super({
      ...handlerOptions(options),
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, ...tlsOptions(options) }),
    });
    this.#options = options;
  }

  override async handle(request: Request, requestOptions?: RequestOptions): Response {
    const answer = await this.#send(request, requestOptions);
    if (request.method === 'HEAD') keepConnection(answer.response.body);
    return answer;
  }

  async #send(request: Request, requestOptions: RequestOptions): Response {
    const proxyUrl = proxyFor(request);
    if (proxyUrl === '') return super.handle(request, requestOptions);
    const proxy = parseProxyUrl(proxyUrl);
    try {
      return await this.#throughProxy(proxy).handle(request, requestOptions);
    } catch (error) {
      // Every failure of a connection has a code or is a timeout or abort; hpagent's own refusal has neither.
      const plain = error instanceof Error && error.name === 'Error' && !('code' in error);
      throw plain ? new ProxyRefusedError(proxy, error) : error;
    }
  }

  override destroy(): void {
    super.destroy();
    for (const handler of this.#proxied.values()) handler.destroy();
  }

  #throughProxy(proxy: URL): NodeHttpHandler {
    const known = this.#proxied.get(proxy.href);
    if (known) return known;
    const tls = tlsOptions(this.#options);
    // hpagent hands the proxy's options to https.request as they are; its types name only some of them.
    const proxyRequestOptions = tls as ProxyAgentRequestOptions;
    const agent = { ...agentOptions(this.#options), ...tls, proxy, proxyRequestOptions };
    const { tunnelTimeoutMs } = this.#options;
    const handler = new NodeHttpHandler({
      ...handlerOptions(this.#options),
      httpAgent: withTunnelTimeout(new HttpProxyAgent(agent), tunnelTimeoutMs),
      httpsAgent: withTunnelTimeout(new HttpsProxyAgent(agent), tunnelTimeoutMs),
    });
    this.#proxied.set(proxy.href, handler);
    return handler;
  }
}

/** Whether the environment sends requests to this place through a proxy. */
export function isProxied(origin: Origin): boolean {
  return proxyFor(origin) !== '';
}

/** '' for none. An IPv6 address may stand in brackets or not. */
function proxyFor(place: Pick<Request, 'protocol' | 'hostname' | 'port'>): string {
  const host = /^[^[].*:/.test(place.hostname) ? `[${place.hostname}]` : place.hostname;
  const port = place.port === undefined ? '' : `:${place.port}`;
  return getProxyForUrl(`${place.protocol}//${host}${port}/`);
}

/**
 * Node.js closes the connection of an answer to HEAD that tells no length, as if a body without end followed; MinIO and
 * others written in Go answer so for a key that does not exist. Such an answer never has a body (RFC 9110, 9.3.2).
 */
function keepConnection(answer: unknown): void {
  if (!(answer instanceof IncomingMessage) || answer.httpVersion !== '1.1') return;
  const { headers, req } = answer as IncomingMessage & { readonly req: ClientRequest };
  if (!/\bclose\b/i.test(headers.connection ?? '')) req.shouldKeepAlive = true;
}

/**
 * Gives up a tunnel that a silent proxy does not open, which ending the request alone does not. hpagent takes this
 * limit from the options of each connection; as an option of the agent it would end idle connections as well.
 */
function withTunnelTimeout<Agent extends HttpAgent>(agent: Agent, timeoutMs: number): Agent {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => connect({ ...options, timeout: timeoutMs }, callback);
  return agent;
}

function agentOptions(options: NetworkOptions) {
  return { keepAlive: true, maxSockets: options.socketsMax, maxFreeSockets: options.socketsMax };
}

function tlsOptions(options: NetworkOptions): { readonly secureContext?: SecureContext } {
  return options.trust ? { secureContext: options.trust } : {};
}

function handlerOptions(options: NetworkOptions) {
  return {
    connectionTimeout: options.connectTimeoutMs,
    socketTimeout: options.idleTimeoutMs,
    logger: options.logger,
  };
}

/** @throws ObjectStoreError invalid_request; its message never repeats the URL, which may hold a password. */
function parseProxyUrl(text: string): URL {
  let problem;
  try {
    const url = new URL(text);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url;
    problem = `has the unsupported scheme ${url.protocol.slice(0, -1)} (http and https are supported)`;
  } catch (error) {
    problem = `is not a URL (${asError(error).name})`;
  }
  const message = `the proxy given by the environment ${problem}; correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY`;
  throw new ObjectStoreError('invalid_request', message, { operation: 'connect' });
}
