/** `--concurrency`, of all commands that see to several files at a time: warm, pin and sync. */
import { ConfigError, shown } from '../config/config-error.js';
import { FILES_AT_ONCE_MAX } from '../requests/messages.js';

/** @throws ConfigError */
export function parseFilesAtOnce(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= FILES_AT_ONCE_MAX) return number;
  throw new ConfigError(
    `--concurrency: expected a whole number from 1 to ${FILES_AT_ONCE_MAX}, got ${shown(text)}`,
  );
}
