/** Directories of the native driver: pages that the kernel can read, offsets that stay good. */
import t from 'tap';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { FilesystemRig } from '../filesystem/filesystem-rig.js';
import { handleBody, openBody, readBody, startOn, u64 } from './native-rig.js';

const EBADF = 9;

interface Listed {
  readonly name: string;
  readonly inode: number;
  readonly next: number;
  readonly type: number;
  readonly node: number | undefined;
}

/** Reads the entries of a READDIR or READDIRPLUS reply as the kernel does. */
function listedIn(body: number | Buffer, plus: boolean): Listed[] {
  if (typeof body === 'number') throw new Error(`answered with errno ${body}`);
  const entries: Listed[] = [];
  for (let at = 0; at < body.length;) {
    const node = plus ? u64(body, at) : undefined;
    if (plus) at += 128;
    const length = body.readUInt32LE(at + 16);
    const name = body.toString('utf8', at + 24, at + 24 + length);
    entries.push({
      name,
      inode: u64(body, at),
      next: u64(body, at + 8),
      type: body.readUInt32LE(at + 20),
      node,
    });
    at += Math.ceil((24 + length) / 8) * 8;
  }
  return entries;
}

t.test('a directory is listed in pages, from one listing, until it is read from the beginning', async (t) => {
  const rig = new FilesystemRig({ versionsApart: true, metadataTtlMs: 0 });
  for (const key of ['a', 'b', 'c', 'd/x']) rig.objects.put(key, 'x');
  const { ask } = startOn(rig.filesystem);
  const stream = u64(await ask('opendir', ROOT_NODE, openBody(0)), 0);
  const page = async (offset: number, size: number, plus = false) =>
    listedIn(await ask(plus ? 'readdirplus' : 'readdir', ROOT_NODE, readBody(stream, offset, size)), plus);

  const first = await page(0, 100);
  t.same(first.map(({ name, next }) => [name, next]), [['.', 1], ['..', 2], ['a', 3]]); // prettier-ignore
  rig.objects.put('a2', 'x');
  const second = await page(3, 4096);
  t.same(second.map(({ name, type }) => [name, type]), [['b', 8], ['c', 8], ['d', 4]]); // prettier-ignore
  t.same(await page(6, 4096), [], 'the end');
  t.same(await page(600, 4096), []);
  t.same(await page(2, 20), [], 'not even one fits');
  const plus = await page(0, 4096, true);
  t.same(plus.map(({ name }) => name), ['.', '..', 'a', 'a2', 'b', 'c', 'd']); // prettier-ignore
  t.same(plus.slice(0, 2).map(({ node }) => node), [0, 0]); // prettier-ignore
  t.ok(plus.slice(2).every(({ node = 0 }) => node > ROOT_NODE));
  t.equal(plus[0]?.inode, 1);
  await ask('releasedir', ROOT_NODE, handleBody(stream));
  t.equal(await ask('readdir', ROOT_NODE, readBody(stream, 0, 4096)), EBADF);
});
