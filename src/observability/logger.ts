/**
 * Logging: the only importer of pino. JSON lines to a file or pipe, pretty lines in a terminal; secrets redacted.
 * Writes are synchronous, so that the last lines before a crash are there.
 */
import { pino } from 'pino';
import type { DestinationStream, Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

/** A logger that writes nothing, for tests and commands that print their own lines. */
export const silentLogger: Logger = pino({ level: 'silent' });

/** Fields that never reach a log, at any depth up to two: object-store errors carry request headers and options. */
const SECRET_FIELDS = [
  'authorization',
  'secretAccessKey',
  'sessionToken',
  'accessKeyId',
  'x-amz-security-token',
];

export function createLogger(level: LogLevel, destination: DestinationStream): Logger {
  const paths = SECRET_FIELDS.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]);
  return pino({ level, base: null, redact: { paths, censor: '[redacted]' } }, destination);
}
