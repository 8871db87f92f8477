/** The contract of `objectChecksums` and `partSizes`: what is told is right, of the version asked for, or nothing is told. */
import type { Test } from 'tap';
import type { CrcKind } from '../../src/runtime/crc.js';
import { NO_CHECKSUMS } from '../../src/object-store/object-checksums.js';
import type { ObjectChecksums } from '../../src/object-store/object-store.js';
import { digestsOf } from '../support/digests.js';
import { crcHex, serverCrcOf } from '../support/plain-crc.js';
import { pattern, versionOf } from './contract-target.js';
import type { ContractTarget, ContractTest, ContractTests } from './contract-target.js';

const KINDS: readonly CrcKind[] = ['crc32', 'crc32c', 'crc64nvme'];
const MIB = 1024 * 1024;

function keepsKind(kind: CrcKind): ContractTest {
  return async (t, target, prefix) => {
    for (const size of [0, 1000, MIB + 1]) {
      const bytes = pattern(size, 0, size);
      await target.put(`${prefix}x`, bytes, kind);
      const told = await target.store.objectChecksums(await versionOf(target, `${prefix}x`));
      if (notKeptAsDeclared(t, target, told)) return;
      t.same(told.digests, [{ kind, value: crcHex(kind, await serverCrcOf(kind, bytes)) }], `${size} bytes`);
    }
  };
}

function notKeptAsDeclared(t: Test, target: ContractTarget, told: ObjectChecksums): boolean {
  if (!target.exceptions.includes('whole-checksums')) return false;
  t.comment('EXCEPTION whole-checksums: this server does not tell checksums of whole objects');
  t.same(told.digests, [], 'whole-checksums are not told, as declared');
  return true;
}

export const checksumTests: ContractTests = {
  ...Object.fromEntries(KINDS.map((kind) => [`a ${kind} of the whole object is told`, keepsKind(kind)])),

  'what is told of an object in parts is of the whole, too': async (t, target, prefix) => {
    const bytes = pattern(3, 0, 5 * MIB + 10);
    await target.putParts(`${prefix}x`, [bytes.subarray(0, 5 * MIB), bytes.subarray(5 * MIB)]);
    const version = await versionOf(target, `${prefix}x`);
    const { digests } = await target.store.objectChecksums(version);
    const whole = digests.filter(({ parts }) => parts === undefined);
    const plans = whole.map(({ kind }) => ({ kind }));
    t.same(
      whole.map(({ value }) => value),
      await digestsOf(bytes, plans),
    );
    const sizes = await target.store.partSizes(version, 2);
    t.ok(sizes === undefined || (sizes[0] === 5 * MIB && sizes[1] === 10 && sizes.length === 2));
    t.equal(await target.store.partSizes(version, 3), undefined, 'not of parts that it does not have');
  },

  'nothing is told of a version that is replaced or gone': async (t, target, prefix) => {
    await target.put(`${prefix}x`, pattern(1, 0, 1000), 'crc32c');
    const old = await versionOf(target, `${prefix}x`);
    await target.put(`${prefix}x`, pattern(2, 0, 1000), 'crc32c');
    t.same(await target.store.objectChecksums(old), NO_CHECKSUMS);
    t.equal(await target.store.partSizes(old, 2), undefined);
    await target.delete(`${prefix}x`);
    t.same(await target.store.objectChecksums(old), NO_CHECKSUMS);
    t.equal(await target.store.partSizes(old, 2), undefined);
  },
};
