/**
 * The options of `sluice mount`, and of the commands that fetch objects without a mount, declared on a command from the
 * option table. Used by the files that declare the commands.
 */
import type { Command } from 'commander';
import { OPTIONS } from '../config/option-table.js';
import { flagOf, mayBeSetBy } from '../config/option-spec.js';
import type { OptionSpec } from '../config/option-spec.js';
import type { Flags } from '../config/resolve.js';

/** All options. Returns the record that holds the given ones once the command line is read. */
export function declareMountOptions(command: Command): Flags {
  return declare(command, () => true);
}

/**
 * Those that say how objects are fetched and where they are kept: what loadTransferConfig reads.
 * @param isUsed by the command; all of them are when left out
 */
export function declareTransferOptions(
  command: Command,
  isUsed: (name: string) => boolean = () => true,
): Flags {
  return declare(
    command,
    ({ name, group }) => group !== 'Mount' && !MOUNT_ONLY.includes(name) && isUsed(name),
  );
}

/** Outside of the group of that name. */
const MOUNT_ONLY: readonly string[] = ['trace-reads', 'foreground'];

function declare(command: Command, isWanted: (option: OptionSpec) => boolean): Flags {
  const flags: { -readonly [Name in keyof Flags]: Flags[Name] } = {};
  for (const option of OPTIONS) {
    const spec: OptionSpec = option;
    if (!mayBeSetBy(spec, 'flag') || !isWanted(spec)) continue;
    const value = spec.placeholder === undefined ? '' : ` <${spec.placeholder}>`;
    const declared = command.createOption(`${flagOf(spec.name)}${value}`, helpOf(spec));
    command.addOption(declared.helpGroup(`${spec.group}:`));
    // Each time that it is given: the last one counts.
    command.on(`option:${spec.name}`, (given?: string) => {
      flags[option.name] = given ?? true;
    });
    if (spec.kind !== 'boolean') continue;
    // So that a flag can take back what a variable or the file says.
    const opposite = spec.name.startsWith('no-') ? spec.name.slice(3) : `no-${spec.name}`;
    command.addOption(command.createOption(flagOf(opposite)).hideHelp());
    command.on(`option:${opposite}`, () => {
      flags[option.name] = false;
    });
  }
  return flags;
}

function helpOf(spec: OptionSpec): string {
  const notes = [
    ...(spec.choices === undefined ? [] : [spec.choices.join(', ')]),
    ...(spec.kind === 'boolean' && spec.default === false
      ? []
      : [`default: ${spec.defaultText ?? (spec.default === true ? 'on' : String(spec.default))}`]),
    // The bounds of a number of 32 bits and of permission bits teach nobody anything.
    ...(spec.kind === 'size' || spec.kind === 'duration' ? [`${spec.min} to ${spec.max}`] : []),
  ];
  return notes.length === 0 ? spec.help : `${spec.help} (${notes.join('; ')})`;
}
