/**
 * What there is to say about one option: the shape of the rows of option-table.ts, and where a row may be set. Values are
 * written as a user would write them.
 */

export type OptionKind =
  'text' | 'url' | 'path' | 'boolean' | 'size' | 'duration' | 'count' | 'mode' | 'choice';

export type OptionGroup = 'Bucket' | 'Mount' | 'Streaming' | 'Local files' | 'Logging' | 'General';

export interface OptionSpec {
  /** `part-size-max` is the flag --part-size-max, SLUICE_PART_SIZE_MAX, and `part-size-max` in the file. */
  readonly name: string;
  readonly kind: OptionKind;
  readonly group: OptionGroup;
  /** What the value is called in help; booleans take none. */
  readonly placeholder?: string;
  /** One line, without range and default, which help adds. */
  readonly help: string;
  readonly default?: string | boolean;
  /** For a default that depends on the machine, the user or another option: how it is found. */
  readonly defaultText?: string;
  readonly example?: string;
  readonly choices?: readonly string[];
  /** Bounds, inclusive. */
  readonly min?: string;
  readonly max?: string;
  /** Variables of other tools that are honoured when nothing else sets the option; the first that is set counts. */
  readonly otherVariables?: readonly string[];
  /** Where the option may be set; everywhere when left out. */
  readonly sources?: readonly OptionSource[];
}

export type OptionSource = 'flag' | 'environment' | 'file';

export function mayBeSetBy(spec: OptionSpec, source: OptionSource): boolean {
  return spec.sources === undefined || spec.sources.includes(source);
}

export function flagOf(name: string): string {
  return `--${name}`;
}

export function variableOf(name: string): string {
  return `SLUICE_${name.toUpperCase().replaceAll('-', '_')}`;
}
