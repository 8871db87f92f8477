/**
 * Settings from the configuration file: the only importer of smol-toml. The file is flat (`key = value`), its keys
 * are the flags without dashes in front. Unknown keys are refused; values are read later, like all others.
 */
import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { ConfigError, shown } from './config-error.js';
import type { Setting } from './option-source.js';
import { OPTIONS } from './option-table.js';
import { flagOf, mayBeSetBy } from './option-spec.js';
import { didYouMean } from './suggest.js';

/** A configuration file is some lines; more than this is a wrong path. */
const FILE_BYTES_MAX = 1024 * 1024;

/** @throws ConfigError when the file cannot be read or says something that is no option. */
export function fileSettings(file: string): Setting[] {
  const text = readConfigFile(file);
  const allowed = OPTIONS.filter((option) => mayBeSetBy(option, 'file')).map(({ name }) => name);
  return Object.entries(parseToml(text, file)).map(([key, raw]) => {
    const line = lineOf(text, key);
    const where = `${key} (${file}${line === undefined ? '' : `, line ${line}`})`;
    const name = allowed.find((candidate) => candidate === key);
    if (name !== undefined) return { name, raw, form: 'typed', where };
    if (OPTIONS.some((option) => option.name === key)) {
      throw new ConfigError(
        `${where}: cannot be set in the configuration file; expected ${flagOf(key)} as a flag`,
      );
    }
    const hint = didYouMean(key, allowed);
    throw new ConfigError(`${where}: expected the name of an option, got ${shown(key)}${hint}`);
  });
}

function readConfigFile(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(
      `the configuration file ${file} cannot be read (${reason}); check its path and permissions`,
    );
  }
  if (bytes.length <= FILE_BYTES_MAX) return bytes.toString('utf8');
  throw new ConfigError(
    `the configuration file ${file}: expected at most ${FILE_BYTES_MAX} bytes, got ${bytes.length}`,
  );
}

function parseToml(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The first line says what is wrong; the rest is a picture of the place.
    const what = error.message.split('\n', 1)[0]?.replace('Invalid TOML document: ', '');
    throw new ConfigError(`${file}, line ${error.line}: expected TOML (key = "value"), got: ${what}`);
  }
}

/** The line on which a top-level key stands, from 1; the parser does not tell. */
function lineOf(text: string, key: string): number | undefined {
  const at = text.split('\n').findIndex((line) => {
    const [, bare, quoted, table] = /^\s*(?:([\w-]+)|["'](.*?)["']|\[+\s*([\w-]+))\s*[.=\]]/.exec(line) ?? [];
    return key === (bare ?? quoted ?? table);
  });
  return at < 0 ? undefined : at + 1;
}
