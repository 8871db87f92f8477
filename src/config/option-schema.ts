/**
 * Reads one option's value as the table describes it: the only importer of valibot. Flags and variables bring text;
 * the configuration file brings typed values, which must have the right type there.
 */
import * as v from 'valibot';
import { unreachable } from '../runtime/assert.js';
import { parseDuration, parseMode, parseSize } from '../runtime/units.js';
import { ConfigError, shown } from './config-error.js';
import type { OptionSpec } from './option-spec.js';

export type OptionValue = string | number | boolean;

/** Whether the raw value is text (flag, variable, table) or came typed from the configuration file. */
export type RawForm = 'text' | 'typed';

/** The value in bytes, milliseconds, bits or as it is. @throws ConfigError beginning with `where`. */
export function parseOption(spec: OptionSpec, raw: unknown, form: RawForm, where: string): OptionValue {
  const result = v.safeParse(schemaOf(spec, form), raw);
  if (result.success) return result.output;
  throw new ConfigError(`${where}: expected ${expected(spec, form)}, got ${shown(raw)}`);
}

type Schema = v.GenericSchema<unknown, OptionValue>;

function schemaOf(spec: OptionSpec, form: RawForm): Schema {
  switch (spec.kind) {
    case 'text':
      return v.pipe(v.string(), v.trim(), v.regex(/^\P{Cc}+$/u));
    case 'path':
      return v.pipe(
        v.string(),
        v.check((path) => path !== '' && !path.includes('\0')),
      );
    case 'url':
      return v.pipe(v.string(), v.trim(), v.check(isEndpoint), v.transform(withoutTrailingSlash));
    case 'choice':
      return v.picklist(spec.choices ?? []);
    case 'boolean':
      return form === 'typed' ? v.boolean() : v.pipe(v.string(), v.transform(parseBoolean), v.boolean());
    case 'count':
      return bounded(spec, form === 'typed' ? v.number() : textAs(parseCount), parseCount);
    case 'mode':
      return bounded(spec, textAs(parseMode), parseMode);
    case 'size':
      return bounded(
        spec,
        form === 'typed' ? v.union([textAs(parseSize), v.number()]) : textAs(parseSize),
        parseSize,
      );
    case 'duration':
      return bounded(
        spec,
        form === 'typed' ? v.union([textAs(parseDuration), secondsAsMs]) : textAs(parseDuration),
        parseDuration,
      );
    default:
      return unreachable(spec.kind);
  }
}

function textAs(parse: (text: string) => number | undefined) {
  return v.pipe(v.string(), v.transform(parse), v.number());
}

const secondsAsMs = v.pipe(
  v.number(),
  v.transform((seconds) => Math.round(seconds * 1000)),
);

function bounded(
  spec: OptionSpec,
  schema: v.GenericSchema<unknown, number>,
  parse: (text: string) => number | undefined,
): Schema {
  const min = parse(spec.min ?? '0') ?? 0;
  const max = parse(spec.max ?? '') ?? Number.MAX_SAFE_INTEGER;
  return v.pipe(schema, v.safeInteger(), v.minValue(min), v.maxValue(max));
}

function parseCount(text: string): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

function parseBoolean(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  return word === 'true' || word === '1' ? true : word === 'false' || word === '0' ? false : undefined;
}

function isEndpoint(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

function withoutTrailingSlash(text: string): string {
  return text.replace(/\/+$/, '');
}

/** What the option takes, as it is said after "expected" and in docs/OPTIONS.md. */
export function expected(spec: OptionSpec, form: RawForm = 'text'): string {
  const example = spec.example ?? spec.default;
  const such = example === undefined ? '' : ` such as ${form === 'typed' ? shown(example) : String(example)}`;
  const range = spec.min === undefined ? '' : ` from ${spec.min} to ${spec.max}`;
  switch (spec.kind) {
    case 'text':
      return `a name${such}`;
    case 'path':
      return `a path${such}`;
    case 'url':
      return `an http:// or https:// URL${such}`;
    case 'choice':
      return `one of ${(spec.choices ?? []).join(', ')}`;
    case 'boolean':
      return 'true or false';
    case 'count':
      return `a whole number${range}`;
    case 'mode':
      return `octal permission bits${range}${such}`;
    case 'size':
      return `a size${range}${such}`;
    case 'duration':
      return `a duration${range}${such}`;
    default:
      return unreachable(spec.kind);
  }
}
