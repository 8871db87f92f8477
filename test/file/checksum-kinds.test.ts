/** Which of the server's checksums a complete copy is compared with, by `--verify`. */
import t from 'tap';
import { BlockChecksums } from '../../src/runtime/block-checksums.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { digestsOf } from '../support/digests.js';
import { crcOf, MIB, Rig, told } from './checksums-rig.js';

t.test('other kinds count with full only, and the blocks’ sums serve for none of them', async (t) => {
  const size = 5 * MIB + 10;
  const partSizes = [2 * MIB + 5, size - 2 * MIB - 5];
  for (const [kind, parts] of [
    ['sha256', undefined],
    ['crc32c', 2],
  ] as const) {
    for (const [verify, isRight, result] of [
      ['crc', true, 'none'],
      ['full', true, 'matches'],
      ['full', false, 'differs'],
      ['etag', true, 'matches'],
      ['off', true, 'unknown'],
    ] as const) {
      const rig = new Rig(size, { verify });
      rig.partSizes = partSizes;
      const [value = ''] = await digestsOf(rig.bytes, [{ kind, partSizes: parts && partSizes }]);
      rig.answer.resolve(told({ kind, parts, value: isRight ? value : value.replaceAll(/./g, '0') }));
      await rig.arrive(0, size, 'sums');
      t.equal(await rig.checksums.verdict, result, `${kind} of ${parts ?? 'no'} parts, ${verify}`);
      t.equal(rig.checksums.result, result);
      t.equal(rig.corrupt, result === 'differs' ? 1 : 0);
      t.equal(rig.asked.length, verify === 'off' ? 0 : 1);
      t.equal(rig.reads.length > 0, verify === 'full' || verify === 'etag', 'read again');
    }
  }
});

t.test('with full, a CRC and another kind must both match; none of before is asked for again', async (t) => {
  for (const [sha, result] of [
    ['right', 'matches'],
    ['wrong', 'differs'],
  ] as const) {
    const rig = new Rig(MIB, { verify: 'full' }, { resultBefore: 'none' });
    const [crc = '', sha1 = ''] = await digestsOf(rig.bytes, [{ kind: 'crc32c' }, { kind: 'sha1' }]);
    rig.answer.resolve(
      told({ kind: 'crc32c', value: crc }, { kind: 'sha1', value: sha === 'right' ? sha1 : '00'.repeat(20) }),
    );
    await rig.arrive(0, MIB);
    t.equal(await rig.checksums.verdict, result);
  }
});

t.test('an ETag is compared with etag alone, and what it says is no reason to refuse the copy', async (t) => {
  const [md5 = ''] = await digestsOf(fillPattern(new Uint8Array(MIB), 5, 0), [{ kind: 'md5' }]);
  for (const [verify, value, result, warnings] of [
    ['full', md5, 'none', 0],
    ['etag', md5, 'matches', 0],
    ['etag', '0'.repeat(32), 'none', 1],
  ] as const) {
    const rig = new Rig(MIB, { verify });
    rig.answer.resolve({ digests: [], etag: { kind: 'md5', value } });
    await rig.arrive(0, MIB);
    t.equal(await rig.checksums.verdict, result);
    t.equal(rig.corrupt, 0);
    t.equal(rig.lines.filter(({ level }) => level === 40).length, warnings);
  }
});

t.test('blocks with sums of another kind than the server tells now are no hindrance', async (t) => {
  const blocks = BlockChecksums.create(2 * MIB);
  blocks.expectKind('crc64nvme');
  const rig = new Rig(2 * MIB, {}, { blocks });
  rig.answer.resolve(await crcOf('crc32', rig.bytes));
  await rig.arrive(0, 2 * MIB, 'sums');
  t.equal(await rig.checksums.verdict, 'matches');
});
