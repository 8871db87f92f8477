/**
 * The command line: which commands there are, their arguments and options. What a command does is imported only when
 * it runs, so that `sluice status` need not wait for what only a mount uses.
 */
import { Command, CommanderError, Option } from 'commander';
import { asError } from '../runtime/assert.js';
import { sluiceVersion } from '../runtime/version.js';
import { EXIT, exitCodeOf } from './exit-codes.js';
import { MOUNT_HELP, PROGRAM_HELP, SYNC_HELP } from './help-text.js';
import { declareMountOptions, declareTransferOptions } from './mount-options.js';
import { printError } from './output.js';
import { addCacheCommands } from './program-cache.js';
import type { ServeS3Arguments } from './serve-s3.js';
import type { SyncArguments } from './sync.js';

/** Runs the command that `args` (without node and script) names; resolves to the exit code. Never rejects. */
export async function runProgram(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return failure(error, program, args);
  }
}

type Done = (exitCode: number) => void;

function buildProgram(done: Done): Command {
  const program = new Command('sluice')
    .description('Mounts an S3-compatible bucket as a drive and streams objects as they are read.')
    .usage('COMMAND [OPTIONS]')
    .version(sluiceVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .helpCommand('help [COMMAND]', 'explain a command')
    .addHelpText('after', PROGRAM_HELP)
    .configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 110, 120) })
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  addMount(program, done);
  addUnmount(program, done);
  addStatus(program, done);
  addSync(program, done);
  addCacheCommands(program, done);
  addDemo(program, done);
  addServeS3(program, done);
  addDaemon(program, done);
  return program;
}

function addMount(program: Command, done: Done): void {
  const command = program
    .command('mount')
    .summary('mount a bucket, or the part of it below a prefix')
    .description(
      'Mounts the bucket at MOUNTPOINT, an empty directory, and streams objects as they are read. Read-only.',
    )
    .argument('<s3://BUCKET[/PREFIX]>', 'what to mount')
    .argument('<MOUNTPOINT>', 'where')
    .usage('[OPTIONS] s3://BUCKET[/PREFIX] MOUNTPOINT')
    .addHelpOption(new Option('-h, --help', 'this text').helpGroup('General:'))
    .addHelpText('after', MOUNT_HELP);
  const flags = declareMountOptions(command);
  command.action(async (source: string, mountpoint: string) => {
    const { mountCommand } = await import('./mount.js');
    done(await mountCommand({ source, mountpoint, flags }));
  });
}

function addUnmount(program: Command, done: Done): void {
  program
    .command('unmount')
    .summary('remove a mount')
    .description(
      'Removes the mount and waits until its daemon has ended. Also cleans up after a daemon that died.',
    )
    .argument('<MOUNTPOINT>')
    .usage('[OPTIONS] MOUNTPOINT')
    .option('--lazy', 'also when files are open: it disappears now, open files end with the daemon')
    .addOption(
      new Option('--force', 'also when files are open or the daemon hangs: reads fail at once').conflicts(
        'lazy',
      ),
    )
    .action(async (mountpoint: string, options: { lazy?: true; force?: true }) => {
      const { unmountCommand } = await import('./unmount.js');
      const mode = options.force ? 'force' : options.lazy ? 'lazy' : 'normal';
      done(await unmountCommand(mountpoint, mode));
    });
}

function addStatus(program: Command, done: Done): void {
  program
    .command('status')
    .summary('show what is mounted, filling, and being read')
    .description(
      'Shows the mounts of this user, or the one at MOUNTPOINT: objects filling, reads in flight, rates.',
    )
    .argument('[MOUNTPOINT]')
    .usage('[OPTIONS] [MOUNTPOINT]')
    .option('--json', 'one JSON document for programs; its fields are a stable contract')
    .action(async (mountpoint: string | undefined, options: { json?: true }) => {
      const { statusCommand } = await import('./status.js');
      done(await statusCommand(mountpoint, options.json === true));
    });
}

function addSync(program: Command, done: Done): void {
  const ownGroup = 'Synchronising:';
  const own = (flags: string, help: string) => new Option(flags, help).helpGroup(ownGroup);
  const gather = (pattern: string, before: readonly string[] = []) => [...before, pattern];
  const command = program
    .command('sync')
    .summary('bring a prefix into a plain directory, for hosts that cannot mount')
    .description(
      'Brings all objects below the prefix into DIR, verified, several at a time. What is there already is skipped, what was interrupted is resumed, and several may work on one DIR.',
    )
    .argument('<s3://BUCKET[/PREFIX]>', 'what to bring')
    .argument('<DIR>', 'where; created when missing')
    .usage('[OPTIONS] s3://BUCKET[/PREFIX] DIR')
    .addOption(own('--include <GLOB>', 'only these names; may be repeated').argParser(gather))
    .addOption(own('--exclude <GLOB>', 'all but these names; may be repeated').argParser(gather))
    .addOption(own('--delete', 'delete what is in DIR and not in the bucket'))
    .addOption(own('--force-delete', 'with --delete: also when the bucket shows nothing at all'))
    .addOption(
      own(
        '--check <HOW>',
        'files that are there: stamp, unless they were touched; checksum, read all',
      ).default('stamp'),
    )
    .addOption(own('--concurrency <NUMBER>', 'files at a time, 1 to 256').default('16'))
    .addOption(own('--dry-run', 'only say what would be fetched and deleted'))
    .addOption(own('--json', 'events and a summary as lines of JSON; their fields are a stable contract'))
    .addHelpOption(new Option('-h, --help', 'this text').helpGroup('General:'))
    .addHelpText('after', SYNC_HELP);
  const flags = declareTransferOptions(command, (name) => !OPTIONS_WITHOUT_USE_FOR_SYNC.includes(name));
  command.action(async (source: string, directory: string, given: Omit<SyncArguments, 'flags'>) => {
    const { syncCommand } = await import('./sync.js');
    done(await syncCommand({ ...given, source, directory, flags }));
  });
}

/** There is no cache, and nobody who reads meanwhile. */
const OPTIONS_WITHOUT_USE_FOR_SYNC: readonly string[] = [
  'cache-dir',
  'cache-bytes-max',
  'cache-free-min',
  'prefetch-max',
];

function addDemo(program: Command, done: Done): void {
  program
    .command('demo')
    .summary('see it work: a bucket on this machine, mounted and streamed')
    .description(
      'Starts an S3 server on this machine, mounts a bucket of it, streams a large object through the mount while it is fetched, proves every byte, and cleans up.',
    )
    .usage('[OPTIONS]')
    .option('--size <SIZE>', 'bytes of the object to stream', '256MiB')
    .action(async (options: { size: string }) => {
      const { demoCommand } = await import('./demo.js');
      done(await demoCommand(options.size));
    });
}

function addServeS3(program: Command, done: Done): void {
  program
    .command('serve-s3')
    .summary('serve a folder as an S3 server, to try things on')
    .description(
      'An S3 server for trials and tests. Objects live in DIR in a format of its own, not as plain files.',
    )
    .argument('<DIR>', 'where the objects are kept; created when missing')
    .usage('[OPTIONS] DIR')
    .requiredOption('--port <NUMBER>', 'port to listen on; 0 takes a free one')
    .option('--host <ADDRESS>', 'address to listen on', '127.0.0.1')
    .option('--allow-remote', 'listen also on an address that other machines can reach')
    .option('--bucket <NAME>', 'create this bucket when it is missing')
    .option('--access-key <KEY>', 'access key to accept (default: $AWS_ACCESS_KEY_ID, else "sluice")')
    .option('--secret-key <SECRET>', 'its secret (default: $AWS_SECRET_ACCESS_KEY, else "sluice-secret")')
    .option('--region <NAME>', 'region that requests must be signed for (default: us-east-1)')
    .option('--anonymous-read', 'let unsigned requests read and list')
    .option('--tls-cert <FILE>', 'serve HTTPS with this certificate (PEM)')
    .option('--tls-key <FILE>', 'its private key (PEM)')
    .option('--round-trip <TIME>', 'answer as late as a server this far away, such as 20ms')
    .option('--connection-rate <SIZE>', 'bytes per second that one connection carries, such as 60MiB')
    .action(async (folder: string, options: ServeS3Arguments) => {
      const { serveS3Command } = await import('./serve-s3.js');
      done(await serveS3Command(folder, options));
    });
}

/** The background half of `sluice mount`; its arguments are for people who look at the process list. */
function addDaemon(program: Command, done: Done): void {
  program
    .command('daemon', { hidden: true })
    .argument('<SOURCE>')
    .argument('<MOUNTPOINT>')
    .action(async () => {
      const { daemonCommand } = await import('./background-daemon.js');
      done(await daemonCommand());
    });
}

function failure(error: unknown, program: Command, args: readonly string[]): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    // `commander.help` comes after the help was shown: nothing to add.
    if (error.code !== 'commander.help') printError(usageMessage(error, program, args));
    return EXIT.usage;
  }
  printError(asError(error).message);
  if (wantsStack(args)) process.stderr.write(`${asError(error).stack ?? ''}\n`);
  return exitCodeOf(error);
}

function usageMessage(error: CommanderError, program: Command, args: readonly string[]): string {
  const [what = '', hint = ''] = error.message.replace(/^error: /, '').split('\n');
  const help = ['sluice', ...commandPath(program, args), '--help'].join(' ');
  return `${what}${hint === '' ? '' : ` ${hint.replace(/^\(D/, '(d')}`}; see ${help}`;
}

/** The names of the command that `args` mean, as far as there is one: `cache`, `ls`. */
function commandPath(command: Command, args: readonly string[]): string[] {
  const at = args.findIndex((arg) => !arg.startsWith('-'));
  const found = command.commands.find((known) => known.name() === args[at]);
  return found === undefined ? [] : [found.name(), ...commandPath(found, args.slice(at + 1))];
}

/** Stacks are for those who asked for details. */
function wantsStack(args: readonly string[]): boolean {
  const flag = args.indexOf('--log-level');
  const level = flag < 0 ? process.env['SLUICE_LOG_LEVEL'] : args[flag + 1];
  return level === 'debug' || level === 'trace';
}
