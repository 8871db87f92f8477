/**
 * Settings as one source brings them, before they are understood: which option, the raw value, and the words by which
 * an error tells the user where it stands. Made by environment.ts, config-file.ts and the command line.
 */
import type { RawForm } from './option-schema.js';
import type { OptionName } from './option-values.js';

export interface Setting {
  readonly name: OptionName;
  readonly raw: unknown;
  readonly form: RawForm;
  /** `--region`, `SLUICE_REGION`, or `region (/home/me/.config/sluice/config.toml, line 3)`. */
  readonly where: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;
