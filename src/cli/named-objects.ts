/**
 * The objects that `warm`, `pin` and `unpin` are given: as arguments, or one a line in a file, below the one argument
 * that there may be beside it. Resolves them to jobs.
 */
import { readFileSync } from 'node:fs';
import { ConfigError } from '../config/config-error.js';
import { currentUser } from '../config/load.js';
import type { Flags } from '../config/resolve.js';
import { queryDaemons } from '../observability/status-client.js';
import type { SocketPlace } from '../observability/status-socket.js';
import { systemClock } from '../runtime/clock.js';
import { isUrl, jobsOf } from './request-targets.js';
import type { Job, Name } from './request-targets.js';

export interface NamedObjects {
  /** Paths and s3:// URLs, as written. */
  readonly names: readonly string[];
  /** A file with more of them, or `-`. */
  readonly list?: string | undefined;
  readonly flags: Flags;
}

/** @throws ConfigError or CommandError */
export async function jobsOfNamed(
  given: NamedObjects,
): Promise<{ readonly jobs: readonly Job[]; readonly place: SocketPlace }> {
  const user = currentUser();
  const place: SocketPlace = { environment: process.env, uid: user.uid };
  const names = given.list === undefined ? fromArguments(given.names) : fromList(given.list, given.names);
  const daemons = await queryDaemons({ place, clock: systemClock });
  const jobs = jobsOf(names, { daemons, flags: given.flags, environment: process.env, user });
  return { jobs, place };
}

function fromArguments(names: readonly string[]): Name[] {
  if (names.length === 0) throw new ConfigError('expected a PATH or s3://BUCKET/KEY, or --list FILE');
  return names.map((text) => ({ text, exact: false }));
}

/** Each line means itself: it was written by a program. */
function fromList(file: string, names: readonly string[]): Name[] {
  const [base] = names;
  if (names.length > 1) {
    throw new ConfigError(
      `--list: expected one directory at most that its lines are below, got ${names.length}`,
    );
  }
  const lines = readList(file)
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => line !== '');
  return lines.map((line) => ({ text: below(base, line), exact: !line.endsWith('/') }));
}

function below(base: string | undefined, line: string): string {
  if (base === undefined || isUrl(line) || line.startsWith('/')) return line;
  return `${base.replace(/\/$/, '')}/${line}`;
}

function readList(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(`--list: expected a file that can be read, got ${file} (${reason})`);
  }
}
