/**
 * The options of `sluice mount`, and of the commands that fetch objects without a mount, as the command line declares
 * them, made from the option table. Used by the files that declare the commands.
 */
import { OPTIONS } from '../config/option-table.js';
import { flagOf, mayBeSetBy } from '../config/option-spec.js';
import type { OptionSpec } from '../config/option-spec.js';
import type { Flags } from '../config/resolve.js';

export interface MountOption {
  /** `--region <NAME>` */
  readonly flags: string;
  readonly help: string;
  readonly group: string;
  readonly hidden: boolean;
  /** The option's name on the command line, without dashes. */
  readonly flag: string;
  /** Called each time the flag is given, so that the last one counts. */
  readonly given: (value?: string) => void;
}

/** The declared options, and the record that holds the given ones once the command line is read. */
export interface DeclaredOptions {
  readonly options: readonly MountOption[];
  readonly flags: Flags;
}

/** All options. */
export function mountOptions(): DeclaredOptions {
  return declare(() => true);
}

/** Those that say how objects are fetched and where they are kept: what loadTransferConfig reads. */
export function transferOptions(): DeclaredOptions {
  return declare(({ name, group }) => group !== 'Mount' && !MOUNT_ONLY.includes(name));
}

/** Outside of the group of that name. */
const MOUNT_ONLY: readonly string[] = ['trace-reads', 'foreground'];

function declare(isWanted: (option: OptionSpec) => boolean): DeclaredOptions {
  const flags: { -readonly [Name in keyof Flags]: Flags[Name] } = {};
  const options = OPTIONS.flatMap((option): MountOption[] => {
    const spec: OptionSpec = option;
    if (!mayBeSetBy(spec, 'flag') || !isWanted(spec)) return [];
    const group = `${spec.group}:`;
    const declared: MountOption = {
      flags: `${flagOf(spec.name)}${spec.placeholder === undefined ? '' : ` <${spec.placeholder}>`}`,
      help: helpOf(spec),
      group,
      hidden: false,
      flag: spec.name,
      given: (value) => {
        flags[option.name] = value ?? true;
      },
    };
    if (spec.kind !== 'boolean') return [declared];
    // So that a flag can take back what a variable or the file says.
    const flag = spec.name.startsWith('no-') ? spec.name.slice(3) : `no-${spec.name}`;
    const given = () => {
      flags[option.name] = false;
    };
    return [declared, { flags: flagOf(flag), help: '', group, hidden: true, flag, given }];
  });
  return { options, flags };
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
