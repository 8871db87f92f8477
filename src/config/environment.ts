/**
 * Settings from environment variables: SLUICE_* for every option that may stand there, and the variables of other
 * tools that the table names. A variable that is set but empty counts as not set.
 */
import { ConfigError } from './config-error.js';
import type { Environment, Setting } from './option-source.js';
import { OPTIONS } from './option-table.js';
import { mayBeSetBy, variableOf } from './option-spec.js';
import type { OptionSpec } from './option-spec.js';
import { nearest } from './suggest.js';

export function environmentSettings(environment: Environment): Setting[] {
  const settings: Setting[] = [];
  for (const option of OPTIONS) {
    const spec: OptionSpec = option;
    const own = mayBeSetBy(spec, 'environment') ? [variableOf(spec.name)] : [];
    const variable = [...own, ...(spec.otherVariables ?? [])].find(
      (name) => (environment[name] ?? '') !== '',
    );
    if (variable === undefined) continue;
    settings.push({ name: option.name, raw: environment[variable], form: 'text', where: variable });
  }
  return settings;
}

/**
 * Looks at the SLUICE_* variables that are no option. One that is nearly an option is a slip and refused; any other
 * may belong to something else (SLUICE_CONTRACT_* and SLUICE_REQUIRE_* steer the tests) and is left alone.
 * @throws ConfigError
 */
export function refuseMistypedVariables(environment: Environment): void {
  const known = OPTIONS.filter((option) => mayBeSetBy(option, 'environment')).map(({ name }) =>
    variableOf(name),
  );
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('SLUICE_') || known.includes(variable) || (value ?? '') === '') continue;
    const meant = nearest(variable, known);
    if (meant === undefined) continue;
    throw new ConfigError(`${variable}: there is no such option; expected ${meant}, or unset the variable`);
  }
}
