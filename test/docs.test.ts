/** The documents keep their word: every statement of SEMANTICS names a test that exists, every link leads somewhere. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';

t.test('every statement of SEMANTICS.md and SYNC.md names its test', async (t) => {
  const statements = ['docs/SEMANTICS.md', 'docs/SYNC.md'].flatMap((document) =>
    readFileSync(document, 'utf8')
      .split(/^- /m)
      .slice(1)
      .map((statement) => statement.split(/^#/m)[0] ?? ''),
  );
  t.ok(statements.length > 35);
  for (const statement of statements) {
    const references = [...statement.matchAll(/`([a-z0-9/-]+): ([^`]+)`/g)];
    t.ok(references.length > 0, `has a test: ${statement.slice(0, 60)}`);
    for (const [, file, title] of references) {
      const path = join('test', `${file}.test.ts`);
      t.ok(existsSync(path), `${path} exists`);
      const titled =
        existsSync(path) && new RegExp(`['"\`]${escape(title ?? '')}`).test(readFileSync(path, 'utf8'));
      t.ok(titled, `${path} has a test that begins with "${title}"`);
    }
  }
});

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

t.test('links between documents lead to files', async (t) => {
  for (const document of [
    'README.md',
    'docs/ARCHITECTURE.md',
    'docs/DEBUGGING.md',
    'docs/SEMANTICS.md',
    'docs/SYNC.md',
  ]) {
    const text = readFileSync(document, 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      t.ok(existsSync(join(dirname(document), target ?? '')), `${document} → ${target}`);
    }
    for (const [path] of text.matchAll(/\b(?:src|test|scripts|docs)\/[\w/.-]+\.(?:ts|sh|md)\b/g)) {
      t.ok(existsSync(path), `${document} names ${path}`);
    }
  }
});

t.test('every task that README and CI name is in the Makefile', async (t) => {
  const makefile = readFileSync('Makefile', 'utf8');
  const named = [...readFileSync('README.md', 'utf8').matchAll(/\bmake ([a-z-]+)/g)].map(([, task]) => task);
  for (const task of [
    ...named,
    'help',
    'check',
    'lint',
    'test-short',
    'test-race',
    'stress-test',
    'bench',
    'ci',
    'clean',
  ]) {
    t.match(makefile, new RegExp(`^${task}:`, 'm'), `make ${task}`);
  }
});
