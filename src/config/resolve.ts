/**
 * One value per option from all sources: flag before environment before configuration file before default. Every
 * value that is given is checked, also where another source wins: a slip does not lie in wait.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileSettings } from './config-file.js';
import { environmentSettings, refuseMistypedVariables } from './environment.js';
import { parseOption } from './option-schema.js';
import type { OptionValue } from './option-schema.js';
import type { Environment, Setting } from './option-source.js';
import { flagOf, variableOf } from './option-spec.js';
import { OPTIONS } from './option-table.js';
import type { OptionName, OptionValues } from './option-values.js';
import type { OptionSpec } from './option-spec.js';
import { configFileDefault } from './user-folders.js';
import type { User } from './user-folders.js';

/** Flags as the command line brought them: text, or true and false for booleans. */
export type Flags = Readonly<Partial<Record<OptionName, string | boolean>>>;

export interface ResolvedOptions {
  readonly values: OptionValues;
  /** Where each value that is no default was set, in words for the user. */
  readonly origins: ReadonlyMap<OptionName, string>;
}

/** @throws ConfigError */
export function resolveOptions(flags: Flags, environment: Environment, user: User): ResolvedOptions {
  refuseMistypedVariables(environment);
  const above = [...flagSettings(flags), ...environmentSettings(environment)];
  const file = configFile(flags, environment, user);
  const settings = [...above, ...(file === undefined ? [] : fileSettings(file))];

  const values = new Map<OptionName, OptionValue>();
  const origins = new Map<OptionName, string>();
  for (const { name, raw, form, where } of settings) {
    const value = parseOption(specOf(name), raw, form, where);
    if (values.has(name)) continue;
    values.set(name, value);
    origins.set(name, where);
  }
  for (const option of OPTIONS) {
    const spec: OptionSpec = option;
    if (spec.default === undefined || values.has(option.name)) continue;
    values.set(
      option.name,
      parseOption(spec, String(spec.default), 'text', `default of ${flagOf(spec.name)}`),
    );
  }
  // The table gives each name the type its kind is parsed into; test/config/option-table.test.ts checks them all.
  return { values: Object.fromEntries(values) as unknown as OptionValues, origins };
}

function flagSettings(flags: Flags): Setting[] {
  return OPTIONS.flatMap(({ name }): Setting[] => {
    const raw = flags[name];
    return raw === undefined ? [] : [{ name, raw: String(raw), form: 'text', where: flagOf(name) }];
  });
}

/** The file that was named, which must exist; else the default one when it does. */
function configFile(flags: Flags, environment: Environment, user: User): string | undefined {
  const named = flags.config ?? environment[variableOf('config')];
  if (named !== undefined && named !== '') return resolve(user.workingDir, String(named));
  const usual = configFileDefault(environment, user);
  return existsSync(usual) ? usual : undefined;
}

function specOf(name: OptionName): OptionSpec {
  const found = OPTIONS.find((option) => option.name === name);
  if (found === undefined) throw new TypeError(`no option ${name}`);
  return found;
}
