/** `sluice serve-s3`: runs the embedded S3 server until SIGTERM or SIGINT. */
import { ConfigError, shown } from '../config/config-error.js';
import { serveS3, ServeS3OptionsError } from '../s3-server/serve.js';
import type { ServedS3, ServeS3Options } from '../s3-server/serve.js';
import { parseDuration, parseSize } from '../runtime/units.js';
import { CommandError, EXIT } from './exit-codes.js';
import { printError, printLine } from './output.js';
import { StopRequests } from './stop-requests.js';

/** As commander names and parses them. */
export interface ServeS3Arguments {
  readonly port: string;
  readonly host?: string;
  readonly allowRemote?: true;
  readonly bucket?: string;
  readonly region?: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly anonymousRead?: true;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly roundTrip?: string;
  readonly connectionRate?: string;
}

export async function serveS3Command(dir: string, given: ServeS3Arguments): Promise<number> {
  const { tlsCert, tlsKey, roundTrip, connectionRate, ...rest } = given;
  const { server, lines } = await start({
    ...rest,
    dir,
    port: parsePort(given.port),
    tlsCertFile: tlsCert,
    tlsKeyFile: tlsKey,
    network: {
      roundTripMs: parseQuantity('--round-trip', roundTrip, parseDuration, 'a duration such as 20ms'),
      connectionBytesPerSecond: parseQuantity(
        '--connection-rate',
        connectionRate,
        parseSize,
        'bytes per second such as 60MiB',
      ),
    },
    environment: process.env,
    onInternalError: (error) => printError(`a request failed unexpectedly: ${error.message}`),
  });
  const stopRequests = new StopRequests();
  stopRequests.listenToSignals({ background: false });
  lines.forEach(printLine);
  await stopRequests.first;
  // A request that does not end is cut off by asking again.
  await Promise.race([server.close(), stopRequests.second]);
  return EXIT.ok;
}

async function start(options: ServeS3Options): Promise<ServedS3> {
  try {
    return await serveS3(options);
  } catch (error) {
    if (error instanceof ServeS3OptionsError) throw new ConfigError(error.message, { cause: error });
    const { code, syscall, path, message } = error as NodeJS.ErrnoException;
    if (path !== undefined) {
      const advice = 'give a directory that you may write to';
      throw new CommandError(EXIT.mount, `${options.dir} cannot be used (${message}): ${advice}`);
    }
    if (syscall !== 'listen') throw error;
    throw new CommandError(
      EXIT.unexpected,
      `cannot listen on port ${options.port} of ${options.host} (${code}); choose another, 0 takes a free one`,
    );
  }
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65_535) return port;
  throw new ConfigError(`--port: expected a whole number from 0 to 65535, got ${shown(text)}`);
}

function parseQuantity(
  flag: string,
  text: string | undefined,
  parse: (text: string) => number | undefined,
  expected: string,
): number | undefined {
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value !== undefined) return value;
  throw new ConfigError(`${flag}: expected ${expected}, got ${shown(text)}`);
}
