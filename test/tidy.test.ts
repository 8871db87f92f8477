/**
 * House rules as a test: imports point downward, one importing place per foreign package, no dead files, files and
 * functions short, each file with a head that says what it is, time and chance injected. The ratchets may only go down.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';

/** Lower layers first: a layer imports itself and those before it, unless they are side by side. */
const LAYERS: readonly (readonly string[])[] = [
  ['runtime', 'native.ts'],
  ['observability', 's3-server', 'formats'],
  ['object-store'],
  ['cache'],
  ['download'],
  ['file'],
  ['filesystem', 'requests'],
  ['fuse'],
  ['config'],
  ['engine.ts', 'sync'],
  ['open-engine.ts'],
  ['rehearsal.ts'],
  ['mount.ts'],
  ['cli'],
];

/** Packages that more than one file of their folder may import. */
const SHARED_IN_FOLDER: Readonly<Record<string, string>> = {
  pino: 'observability',
  commander: 'cli',
};

/** Longest file, in lines; to be lowered, never raised. */
const FILE_LINES_MAX = 320;

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function sources(root: string): Source[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => {
      const path = join(root, name);
      const text = readFileSync(path, 'utf8');
      // Worker threads are started from a URL.
      const imports = [
        ...text.matchAll(/(?:(?:from|import|require)\s*\(?\s*|new URL\((?=.\.\/))'([^']+)'/g),
      ].map(([, target]) => target ?? '');
      return { path, text, imports };
    });
}

const src = sources('src');
const all = [...src, ...sources('test'), ...sources('scripts')];

function layerOf(path: string): number {
  const part = path.split('/')[1] ?? '';
  return LAYERS.findIndex((names) => names.includes(part));
}

function resolveImport(from: string, target: string): string {
  return normalize(join(dirname(from), target)).replace(/\.js$/, '.ts');
}

t.test('every file of src lies in a known layer', async (t) => {
  t.same(
    src.filter(({ path }) => layerOf(path) === -1).map(({ path }) => path),
    [],
  );
});

t.test('imports point downward', async (t) => {
  const upward: string[] = [];
  for (const { path, imports } of src) {
    for (const target of imports.filter((name) => name.startsWith('.'))) {
      const to = resolveImport(path, target);
      const sameFolder = path.split('/')[1] === to.split('/')[1];
      if (!sameFolder && layerOf(to) >= layerOf(path)) upward.push(`${path} → ${to}`);
    }
  }
  t.same(upward, []);
});

t.test('one importer per foreign package', async (t) => {
  const importers = new Map<string, Set<string>>();
  for (const { path, imports } of src) {
    for (const target of imports) {
      if (target.startsWith('.') || target.startsWith('node:')) continue;
      const name = target
        .split('/')
        .slice(0, target.startsWith('@') ? 2 : 1)
        .join('/');
      const folder = path.split('/')[1] ?? '';
      const place = SHARED_IN_FOLDER[name] === folder ? folder : path;
      importers.set(name, (importers.get(name) ?? new Set()).add(place));
    }
  }
  const shared = [...importers].filter(([, places]) => places.size > 1);
  t.same(
    shared.map(([name, places]) => `${name}: ${[...places].join(', ')}`),
    [],
  );
});

t.test('every declared dependency is used', async (t) => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const used = new Set(
    src.flatMap(({ imports, text }) => [...imports, ...(text.match(/'[@a-z0-9/-]+'/g) ?? [])]),
  );
  const unused = Object.keys(manifest.dependencies).filter(
    (name) => !used.has(name) && !used.has(`'${name}'`),
  );
  t.same(unused, []);
});

t.test('no dead files: everything is reached from the command, a test or a script', async (t) => {
  const byPath = new Map(all.map((source) => [source.path, source]));
  const roots = all.filter(
    ({ path }) => path === 'src/cli/main.ts' || path.endsWith('.test.ts') || path.startsWith('scripts/'),
  );
  const texts = all.map(({ text }) => text).join('\n');
  const reached = new Set(roots.flatMap(({ path }) => [...reachedFrom(path, byPath)]));
  // Programs that tests start in a process of their own are named by their compiled file.
  const started = all.filter(({ path }) =>
    texts.includes(`${path.split('/').pop()?.replace(/\.ts$/, '.js')}'`),
  );
  for (const { path } of started) for (const below of reachedFrom(path, byPath)) reached.add(below);
  t.same(
    all.filter(({ path }) => !reached.has(path)).map(({ path }) => path),
    [],
  );
  const fromTestsOnly = src.filter(({ path }) => !reachedFrom('src/cli/main.ts', byPath).has(path));
  t.same(
    fromTestsOnly.map(({ path }) => path),
    [],
    'nothing in src is there for the tests alone',
  );
});

function reachedFrom(root: string, byPath: ReadonlyMap<string, Source>): Set<string> {
  const reached = new Set<string>();
  const visit = (path: string) => {
    const source = byPath.get(path);
    if (source === undefined || reached.has(path)) return;
    reached.add(path);
    for (const target of source.imports) if (target.startsWith('.')) visit(resolveImport(path, target));
  };
  visit(root);
  return reached;
}

t.test('files are short and begin with what they are', async (t) => {
  const long = all.filter(({ text }) => text.split('\n').length > FILE_LINES_MAX);
  t.same(
    long.map(({ path, text }) => `${path}: ${text.split('\n').length}`),
    [],
  );
  const headless = src.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text) && text.split('\n').length > 12);
  t.same(
    headless.map(({ path }) => path),
    [],
  );
});

t.test('the native part is as short, and each header says what it is', async (t) => {
  const native = readdirSync('native', { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(h|cc)$/.test(name))
    .map((name) => ({ name, text: readFileSync(join('native', name), 'utf8') }));
  t.ok(native.length > 20, 'it is where it was');
  const long = native.filter(({ text }) => text.split('\n').length > FILE_LINES_MAX);
  t.same(
    long.map(({ name }) => name),
    [],
  );
  const headless = native.filter(({ name, text }) => name.endsWith('.h') && !text.startsWith('// '));
  t.same(
    headless.map(({ name }) => name),
    [],
  );
});

t.test('time and chance come from the injected clock', async (t) => {
  const wild = src.filter(
    ({ path, text }) =>
      !path.startsWith('src/runtime/') &&
      /\bDate\.now\(|\bMath\.random\(|(?<![.\w])setTimeout\(|(?<![.\w])setInterval\(/.test(text),
  );
  t.same(
    wild.map(({ path }) => path),
    [],
  );
});

t.test('nothing is left open: no reminders, no focused tests', async (t) => {
  const marks = /\bTO[D]O\b|\bFIX[M]E\b|\bX[X]X\b|\.on[l]y\(/;
  t.same(
    all.filter(({ text }) => marks.test(text)).map(({ path }) => path),
    [],
  );
});
