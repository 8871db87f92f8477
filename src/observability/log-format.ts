/** Log lines for a person at a terminal: the only importer of pino-pretty, itself imported only where one sits. */
import { prettyFactory } from 'pino-pretty';
import type { LogDestination } from './log-destination.js';

/** Turns each JSON line into a readable one before it goes to `destination`. */
export function prettyLines(destination: LogDestination, colors: boolean): LogDestination {
  const prettify = prettyFactory({
    colorize: colors,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    hideObject: false,
  });
  return {
    write: (line) => destination.write(prettify(line)),
    close: () => destination.close(),
  };
}
