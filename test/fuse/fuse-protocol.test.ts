/** Requests as the kernel sends them, written by hand from the structs of <linux/fuse.h>. */
import t from 'tap';
import {
  featureNames,
  getattrHandle,
  lookupName,
  lseekArguments,
  OPCODE,
  openForWrite,
  operationOf,
  readArguments,
  releasedHandle,
} from '../../src/fuse/fuse-protocol.js';
import { packed } from '../support/packed.js';

t.test('operations go by their numbers', async (t) => {
  for (const [name, opcode] of Object.entries(OPCODE)) t.equal(operationOf(opcode), name);
  t.equal(operationOf(1), 'lookup');
  t.equal(operationOf(44), 'readdirplus');
  t.equal(operationOf(4096), undefined);
});

t.test('a name ends at its NUL; what is no UTF-8 is no name', async (t) => {
  t.equal(lookupName(Buffer.from('a name\0')), 'a name');
  t.equal(lookupName(Buffer.from('\u6f22\ufeff\ufffd\0and what lies behind\0')), '\u6f22\ufeff\ufffd');
  t.equal(lookupName(Buffer.from([0x61, 0xff, 0])), undefined);
  t.equal(lookupName(Buffer.from([0xed, 0xa0, 0x80, 0])), undefined, 'a surrogate');
});

t.test('GETATTR asks by a handle when its flag says so', async (t) => {
  t.equal(getattrHandle(packed(['u32', 1], ['u32', 0], ['u64', 5])), 5);
  t.equal(getattrHandle(packed(['u32', 0], ['u32', 0], ['u64', 5])), undefined);
});

t.test('OPEN changes the file by its access mode or by truncating it', async (t) => {
  const flagged = (flags: number) => openForWrite(packed(['u32', flags], ['u32', 0]));
  t.equal(flagged(0o100000), false, 'O_RDONLY | O_LARGEFILE');
  t.equal(flagged(0o1), true, 'O_WRONLY');
  t.equal(flagged(0o2), true, 'O_RDWR');
  t.equal(flagged(0o1000), true, 'O_TRUNC');
});

t.test('READ, READDIR, LSEEK and RELEASE', async (t) => {
  const read = packed(
    ['u64', 3],
    ['u64', 2 ** 33 + 5],
    ['u32', 4096],
    ['u32', 1],
    ['u64', 77],
    ['u32', 2],
    ['u32', 0],
  );
  t.strictSame(readArguments(read), { handle: 3, offset: 2 ** 33 + 5, size: 4096 });
  t.strictSame(lseekArguments(packed(['u64', 3], ['u64', 10], ['u32', 4], ['u32', 0])), {
    handle: 3,
    offset: 10,
    whence: 4,
  });
  t.equal(releasedHandle(packed(['u64', 9], ['u32', 0], ['u32', 0], ['u64', 0])), 9);
});

t.test('features have names, on both sides of bit 32', async (t) => {
  t.strictSame(featureNames(0, 0), []);
  t.strictSame(featureNames((1 << 0) | (1 << 13), 1 << 5), ['async-read', 'readdirplus', 'passthrough']);
  t.strictSame(featureNames(1 << 31, 0), ['bit-31']);
});
