import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { FileState } from '../../src/sync/file-state.js';

function open(t: Test, path: string): FileState {
  const state = new FileState(path);
  t.teardown(() => state.close());
  return state;
}

const file = (version: string, crc32c?: number) => ({ version, stamp: `stamp of ${version}`, crc32c });

t.test('what was recorded is there after it was opened again', async (t) => {
  const path = join(t.testdir(), 'state');
  const names = ['a', 'dir/b', 'new\nline', 'quote"', 'ünï', '\u{1f600}', ' '];
  const state = new FileState(path);
  for (const [at, name] of names.entries()) state.record(name, file(`v${at}`, at === 0 ? undefined : at));
  state.record('a', file('v9'));
  state.record('gone', file('v'));
  state.forget('gone');
  state.close();
  const again = open(t, path);
  t.strictSame(again.get('a'), file('v9'));
  for (const [at, name] of names.entries())
    if (at > 0) t.strictSame(again.get(name), file(`v${at}`, at), name);
  t.equal(again.get('gone'), undefined);
  t.notOk(again.isNews('a'), 'nothing of that is news');
});

t.test('one worker hears what another one recorded', async (t) => {
  const path = join(t.testdir(), 'state');
  const first = open(t, path);
  first.record('mine', file('v1'));
  const second = open(t, path);
  second.record('theirs', file('v2'));
  t.equal(first.get('theirs'), undefined);
  first.refresh();
  t.strictSame(first.get('theirs'), file('v2'));
  t.ok(first.isNews('theirs'));
  t.notOk(first.isNews('mine'), 'its own records are no news');
  second.forget('theirs');
  first.refresh();
  t.equal(first.get('theirs'), undefined);
});

t.test('a line that a crash cut off, or that makes no sense, costs that line alone', async (t) => {
  const path = join(t.testdir(), 'state');
  const state = new FileState(path);
  state.record('a', file('v1'));
  state.close();
  appendFileSync(path, 'nonsense\n{"n":1}\n["b",1,2,3]\n[7,"v","s"]\n["c","v","st');
  const again = new FileState(path);
  again.record('d', file('v4'));
  again.close();
  const last = open(t, path);
  t.strictSame(
    ['a', 'b', 'c', 'd'].map((name) => last.get(name)?.version),
    ['v1', undefined, undefined, 'v4'],
  );
});

t.test('superseded lines are dropped, with what is not true any more', async (t) => {
  const path = join(t.testdir(), 'state');
  const lines = Array.from({ length: 1500 }, (_, at) => `["a","v${at}","s",null]\n`);
  writeFileSync(path, ['["b","v","s",5]\n', '["untrue","v","s",null]\n', ...lines].join(''));
  const state = open(t, path);
  state.compact((name) => name !== 'untrue');
  t.equal(readFileSync(path, 'utf8').trim().split('\n').length, 2);
  t.equal(state.get('a')?.version, 'v1499');
  t.strictSame(state.get('b'), { version: 'v', stamp: 's', crc32c: 5 });
  state.record('c', file('v3'));
  const before = readFileSync(path);
  state.compact(() => t.fail('there is nothing to gain now'));
  t.ok(readFileSync(path).equals(before));
});

t.test(
  'whoever has it open while another one writes it anew loses nothing, and its lines are not lost',
  async (t) => {
    const path = join(t.testdir(), 'state');
    writeFileSync(path, Array.from({ length: 1500 }, (_, at) => `["a","v${at}","s",null]\n`).join(''));
    const [compacting, other] = [open(t, path), open(t, path)];
    compacting.compact(() => {
      // In the middle of it.
      other.record('late', file('v5'));
      return true;
    });
    t.equal(compacting.get('late')?.version, 'v5');
    other.record('later', file('v6'));
    compacting.record('mine', file('v7'));
    other.refresh();
    const fresh = open(t, path);
    for (const state of [compacting, other, fresh]) {
      state.refresh();
      t.strictSame(
        ['a', 'late', 'later', 'mine'].map((name) => state.get(name)?.version),
        ['v1499', 'v5', 'v6', 'v7'],
      );
    }
  },
);
