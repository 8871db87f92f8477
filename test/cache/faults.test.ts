import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { CacheDirectoryError } from '../../src/cache/directory-check.js';
import { AnsweringChild } from '../support/child-process.js';
import { interposed, live, untruths } from './life-of-copies.js';

for (const [how, persists] of [
  ['fails once', false],
  ['and all after it fail', true],
] as const) {
  t.test(`whichever file operation ${how}: nobody notices, and nothing untrue is left`, async (t) => {
    const root = t.testdir({});
    let runs = 0;
    for (let at = 1; ; at++) {
      const directory = join(root, String(at));
      mkdirSync(directory, { mode: 0o700 });
      let operations = 0;
      const files = interposed((operation) => {
        operations += 1;
        if (operations === at || (persists && operations > at)) {
          throw Object.assign(new Error(`no space left on device (${operation})`), { code: 'ENOSPC' });
        }
      });
      await live(directory, files, () => {}).catch((error: unknown) => {
        if (!(error instanceof CacheDirectoryError)) throw error;
      });
      const untrue = await untruths(directory);
      if (untrue !== '') t.fail(`operation ${at}: ${untrue}`);
      rmSync(directory, { recursive: true });
      runs = at;
      if (operations < at) break;
    }
    t.ok(runs > 80, `${runs} operations`);
  });
}

t.test('wherever it is killed: nothing untrue is left', async (t) => {
  const root = t.testdir({});
  const script = fileURLToPath(new URL('killed-child.js', import.meta.url));
  let ended = 0;
  let next = 1;
  const work = async () => {
    while (ended === 0) {
      const at = next++;
      const directory = join(root, String(at));
      mkdirSync(directory, { mode: 0o700 });
      const child = new AnsweringChild<object, { readonly operations: number }>(script, [
        directory,
        String(at),
      ]);
      const said = child.next().catch(() => undefined);
      const { signal, code } = await child.exit;
      if (signal === null) {
        t.equal(code, 0);
        ended = (await said)?.operations ?? 1;
      } else t.equal(signal, 'SIGKILL');
      const untrue = await untruths(directory);
      if (untrue !== '') t.fail(`operation ${at}: ${untrue}`);
      rmSync(directory, { recursive: true });
    }
  };
  await Promise.all([work(), work()]);
  t.ok(ended > 100, `${ended} operations`);
});
