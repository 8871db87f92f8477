import { readFileSync } from 'node:fs';
import t from 'tap';
import { optionsDocument } from '../../scripts/options-doc.js';
import { flagOf } from '../../src/config/option-spec.js';
import { OPTIONS } from '../../src/config/option-table.js';

t.test('docs/OPTIONS.md is what the option table says', async (t) => {
  const written = readFileSync('docs/OPTIONS.md', 'utf8');
  t.equal(written, optionsDocument(), 'node dist/scripts/options-doc.js > docs/OPTIONS.md');
  for (const { name } of OPTIONS) t.match(written, `| \`${flagOf(name)}\` |`);
});
