/** The commands about the cache, as the command line declares them. Called by program.ts. */
import type { Command } from 'commander';
import { CACHE_HELP, NAMES_HELP } from './help-text.js';
import { declareTransferOptions } from './mount-options.js';
import type { Flags } from '../config/resolve.js';
import type { CacheArguments } from './cache.js';

type Done = (exitCode: number) => void;

interface NamedOptions {
  readonly list?: string;
  readonly concurrency: string;
  readonly json?: true;
}

const NAMES = 'PATH|s3://BUCKET/KEY...';

export function addCacheCommands(program: Command, done: Done): void {
  addWarm(program, done);
  addPin(program, done);
  addUnpin(program, done);
  addCache(program, done);
}

function addWarm(program: Command, done: Done): void {
  const command = program
    .command('warm')
    .summary('fetch objects into the cache before they are opened')
    .description(
      'Fetches objects, directories or what a pattern matches into the cache, so that nobody waits for them later. What is there is not fetched again; the exit code is 0 only when all of it is there.',
    );
  const flags = addNaming(command, 'warm');
  addConcurrency(command);
  command.action(async (names: string[], { list, concurrency, json }: NamedOptions) => {
    const { warmCommand } = await import('./warm.js');
    done(await warmCommand({ names, list, concurrency, json: json === true, flags }));
  });
}

function addPin(program: Command, done: Done): void {
  const command = program
    .command('pin')
    .summary('keep objects in the cache whatever comes, fetching them first')
    .description(
      'Fetches objects as warm does, and keeps the versions that they have now: they are never evicted, until unpin. Refused when they do not fit into the cache beside what is pinned already.',
    );
  const flags = addNaming(command, 'pin');
  addConcurrency(command).option('--no-fill', 'do not fetch them now: keep them once somebody has read them');
  command.action(async (names: string[], options: NamedOptions & { fill: boolean }) => {
    const { pinCommand } = await import('./pin.js');
    const { list, concurrency, json, fill } = options;
    done(await pinCommand({ names, list, concurrency, fill, json: json === true, flags }));
  });
}

function addUnpin(program: Command, done: Done): void {
  const command = program
    .command('unpin')
    .summary('let pinned objects be evicted again')
    .description('Takes pins away, of whatever versions. The copies stay until their room is needed.');
  const flags = addNaming(command, 'unpin');
  command.action(async (names: string[], { list, json }: Omit<NamedOptions, 'concurrency'>) => {
    const { unpinCommand } = await import('./pin.js');
    done(await unpinCommand({ names, list, json: json === true, flags }));
  });
}

/** The arguments and options that say which objects. Returns the given options of the transfer. */
function addNaming(command: Command, name: string): Flags {
  command
    .argument(`[${NAMES}]`, 'what: an object, a directory, a pattern in quotes')
    .usage(`[OPTIONS] ${NAMES}`)
    .option('--list <FILE>', 'one name a line, below the one PATH or URL that is given; - for standard input')
    .option('--json', 'one JSON document a line for programs; their fields are a stable contract')
    .addHelpText('after', NAMES_HELP.replaceAll('COMMAND', name));
  return declareTransferOptions(command);
}

function addConcurrency(command: Command): Command {
  return command.option(
    '--concurrency <NUMBER>',
    'objects that are fetched at the same time, 1 to 256',
    '32',
  );
}

function addCache(program: Command, done: Done): void {
  const cache = program
    .command('cache')
    .summary('look into the cache, verify it, make room in it')
    .description('Commands about a cache directory, whoever uses it at the moment.')
    .usage('COMMAND [OPTIONS]')
    .helpCommand(false)
    .addHelpText('after', CACHE_HELP);
  const add = (verb: CacheArguments['verb'], summary: string, names?: string) => {
    const command = cache
      .command(verb)
      .summary(summary)
      .description(`${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`)
      .usage(`[OPTIONS]${names === undefined ? '' : ` [${names}...]`}`)
      .option('--json', 'JSON for programs; its fields are a stable contract');
    // What to ask the servers with, or only where the cache is.
    const isUsed = (name: string) => verb === 'verify' || name === 'cache-dir' || name === 'config';
    const flags = declareTransferOptions(command, isUsed);
    if (names !== undefined) command.argument(`[${names}...]`, 'which objects; all when left out');
    command.action(async (...given: unknown[]) => {
      const options = command.opts<Pick<CacheArguments, 'json' | 'bytes' | 'pinned' | 'full'>>();
      const { cacheCommand } = await import('./cache.js');
      const named = names === undefined ? [] : (given[0] as string[]);
      const { json, bytes, pinned, full } = options;
      done(await cacheCommand({ verb, names: named, flags, json, bytes, pinned, full }));
    });
    return command;
  };
  const names = 's3://BUCKET/KEY|PATTERN';
  add('ls', 'list the copies: object, size, how much of it is there, state, pin, last use', names);
  add('stats', 'sum up: how much is kept, pinned and open, and how much each mount on it lets it keep');
  add(
    'verify',
    'read all complete copies and compare them with their checksums; remove the wrong ones',
    names,
  ).option('--full', 'ask the servers of the objects, too, what checksums they keep, and compare those');
  add('evict', 'remove copies that nobody has open', names)
    .option('--bytes <SIZE>', 'only so much of them, those that were not used for longest first')
    .option('--pinned', 'also pinned ones');
  add('clear', 'remove all copies that nobody has open, also pinned ones');
}
