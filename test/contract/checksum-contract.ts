/** The contract of `wholeChecksum`: what is told is right, of the version asked for, or nothing is told. */
import type { Test } from 'tap';
import type { CrcKind } from '../../src/runtime/crc.js';
import { serverCrcOf } from '../support/plain-crc.js';
import { pattern, versionOf } from './contract-target.js';
import type { ContractTarget, ContractTest, ContractTests } from './contract-target.js';

const KINDS: readonly CrcKind[] = ['crc32', 'crc32c', 'crc64nvme'];
const MIB = 1024 * 1024;

function keepsKind(kind: CrcKind): ContractTest {
  return async (t, target, prefix) => {
    for (const size of [0, 1000, MIB + 1]) {
      const bytes = pattern(size, 0, size);
      await target.put(`${prefix}x`, bytes, kind);
      const told = await target.store.wholeChecksum(await versionOf(target, `${prefix}x`));
      if (notKeptAsDeclared(t, target, told)) return;
      t.same(told, { kind, value: await serverCrcOf(kind, bytes) }, `${size} bytes`);
    }
  };
}

function notKeptAsDeclared(t: Test, target: ContractTarget, told: unknown): boolean {
  if (!target.exceptions.includes('whole-checksums')) return false;
  t.comment('EXCEPTION whole-checksums: this server does not tell checksums of whole objects');
  t.equal(told, undefined, 'whole-checksums are not told, as declared');
  return true;
}

export const checksumTests: ContractTests = {
  ...Object.fromEntries(KINDS.map((kind) => [`a ${kind} of the whole object is told`, keepsKind(kind)])),

  'what is told of an object in parts is of the whole, too': async (t, target, prefix) => {
    const bytes = pattern(3, 0, 5 * MIB + 10);
    await target.putParts(`${prefix}x`, [bytes.subarray(0, 5 * MIB), bytes.subarray(5 * MIB)]);
    const told = await target.store.wholeChecksum(await versionOf(target, `${prefix}x`));
    t.ok(told === undefined || told.value === (await serverCrcOf(told.kind, bytes)));
  },

  'nothing is told of a version that is replaced or gone': async (t, target, prefix) => {
    await target.put(`${prefix}x`, pattern(1, 0, 1000), 'crc32c');
    const old = await versionOf(target, `${prefix}x`);
    await target.put(`${prefix}x`, pattern(2, 0, 1000), 'crc32c');
    t.equal(await target.store.wholeChecksum(old), undefined);
    await target.delete(`${prefix}x`);
    t.equal(await target.store.wholeChecksum(old), undefined);
  },
};
