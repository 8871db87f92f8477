/** The types of what the options say: made from the table, so that no name or kind is written twice. */
import type { OptionSpec } from './option-spec.js';
import type { OPTIONS } from './option-table.js';

type Spec = (typeof OPTIONS)[number];

export type OptionName = Spec['name'];

type ValueOf<S extends OptionSpec> = S extends { kind: 'choice'; choices: readonly (infer Choice)[] }
  ? Choice
  : S extends { kind: 'boolean' }
    ? boolean
    : S extends { kind: 'size' | 'duration' | 'count' | 'mode' }
      ? number
      : string;

/** What the options say, in bytes and milliseconds; undefined where nobody set one whose default is derived. */
export type OptionValues = {
  readonly [S in Spec as S['name']]: S extends { default: string | boolean }
    ? ValueOf<S>
    : ValueOf<S> | undefined;
};
