/**
 * docs/OPTIONS.md from the option table: `node dist/scripts/options-doc.js > docs/OPTIONS.md`. A test compares the
 * two, so that the page cannot fall behind.
 */
import { fileURLToPath } from 'node:url';
import { expected } from '../src/config/option-schema.js';
import { OPTIONS } from '../src/config/option-table.js';
import { flagOf, mayBeSetBy, variableOf } from '../src/config/option-spec.js';
import type { OptionSpec } from '../src/config/option-spec.js';

export function optionsDocument(): string {
  const groups = [...new Set(OPTIONS.map(({ group }) => group))];
  return [
    '# Options of `sluice mount`',
    '',
    'Made from `src/config/option-table.ts` by `node dist/scripts/options-doc.js > docs/OPTIONS.md`.',
    '',
    'A flag wins over a variable, a variable over the configuration file, that over the default. In the file (TOML,',
    '`$XDG_CONFIG_HOME/sluice/config.toml` or `--config FILE`) the key is the flag without its dashes. A switch `--x` that',
    'a variable or the file turns on is turned off by `--no-x`. Sizes: `512MiB`, `1.5G` (1024), `10MB` (1000). Durations:',
    '`500ms`, `60s`, `2m`; a number without a unit counts seconds. A variable that is set but empty counts as not set.',
    '',
    ...groups.flatMap((group) => [
      `## ${group}`,
      '',
      '| Option | What it does | Takes | Default | Variables |',
      '| --- | --- | --- | --- | --- |',
      ...OPTIONS.filter((option) => option.group === group).map(row),
      '',
    ]),
  ].join('\n');
}

function row(option: OptionSpec): string {
  const unset = option.kind === 'boolean' ? (option.default ? 'on' : 'off') : `\`${String(option.default)}\``;
  const own = mayBeSetBy(option, 'environment') ? [variableOf(option.name)] : [];
  const cells = [
    `\`${flagOf(option.name)}\``,
    option.help,
    option.kind === 'boolean' ? 'switch' : expected(option),
    option.defaultText ?? unset,
    [...own, ...(option.otherVariables ?? [])].map((name) => `\`${name}\``).join(', ') || 'none',
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(optionsDocument());
