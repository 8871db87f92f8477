/** Local files of the addon: what is asked of it, and who hears of their reads. */
import t from 'tap';
import { Availability } from '../../src/runtime/availability.js';
import type { DirectReadListener } from '../../src/file/direct-reads.js';
import { NativeFiles } from '../../src/fuse/native-files.js';
import { FakeAddon } from '../support/fake-addon.js';

const READ = { id: 3, handle: 5, start: 0, end: 10, ageMs: 1 };

function listening(): { readonly heard: unknown[][]; readonly listener: DirectReadListener } {
  const heard: unknown[][] = [];
  const note =
    (event: string) =>
    (...args: unknown[]) =>
      void heard.push([event, ...args]);
  const listener = {
    entered: note('entered'),
    waiting: note('waiting'),
    ended: note('ended'),
    observed: note('observed'),
  };
  return { heard, listener };
}

t.test('the whole shared memory is registered, and the file until it is closed', async (t) => {
  const addon = new FakeAddon();
  const availability = Availability.create(100_000);
  const file = new NativeFiles(addon).open(availability, listening().listener);
  file.attach(7);
  file.published();
  file.revoke();
  file.close();
  const bytes = availability.memory.byteLength;
  t.same(addon.calls, [`open of ${bytes} bytes`, 'attach 1 7', 'published 1', 'revoke 1', 'close 1']);
  for (const use of [() => file.attach(7), () => file.published(), () => file.revoke(), () => file.close()]) {
    t.throws(use, { message: /file 1 is open/ }, 'a bug of the caller');
  }
  t.equal(addon.calls.length, 5, 'and the addon hears nothing of it');
});

t.test('a descriptor that is none does not reach the addon', async (t) => {
  const addon = new FakeAddon();
  const file = new NativeFiles(addon).open(Availability.create(1), listening().listener);
  for (const descriptor of [-1, 1.5, NaN]) t.throws(() => file.attach(descriptor), /descriptor/);
  t.equal(addon.calls.length, 1);
});

t.test('each file’s listener hears of its reads, and of nothing after the close', async (t) => {
  const files = new NativeFiles(new FakeAddon());
  const [one, two] = [listening(), listening()];
  const file = files.open(Availability.create(1), one.listener);
  files.open(Availability.create(1), two.listener);
  const tell = () => {
    files.readEntered(1, READ);
    files.readWaiting(1, READ);
    files.readObserved(1, 0, 10);
    files.readEnded(1, 3, { result: 'ok', waitedMs: 2 });
  };
  tell();
  t.same(one.heard, [
    ['entered', READ],
    ['waiting', READ],
    ['observed', 0, 10],
    ['ended', 3, { result: 'ok', waitedMs: 2 }],
  ]);
  file.close();
  tell();
  t.equal(one.heard.length, 4);
  t.same(two.heard, []);
});

t.test('what the kernel cached of a revoked file is dropped, of each node that read it', async (t) => {
  const files = new NativeFiles(new FakeAddon());
  const [file, other] = [1, 2].map(() => files.open(Availability.create(1), listening().listener));
  const dropped: number[] = [];
  files.join(
    () => {},
    (node) => void dropped.push(node),
  );
  for (const [id, node] of [
    [1, 7],
    [1, 7],
    [1, 8],
    [2, 9],
  ] as const) {
    files.opened(id, node);
  }
  file?.revoke();
  t.same(dropped, [7, 8]);
  other?.close();
  files.opened(2, 10);
  t.same(dropped, [7, 8], 'a file that was closed has no nodes');
});

t.test('reads fail through the session that joined', async (t) => {
  const files = new NativeFiles(new FakeAddon());
  const file = files.open(Availability.create(1), listening().listener);
  const failed: unknown[] = [];
  const error = new Error('no bytes');
  file.fail(READ, error);
  files.join(
    (read, cause) => void failed.push(read, cause),
    () => {},
  );
  file.fail(READ, error);
  t.same(failed, [READ, error]);
});
