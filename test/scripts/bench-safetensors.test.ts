import t from 'tap';
import { safetensorsHeader } from '../../scripts/bench-safetensors.js';

const MIB = 1024 * 1024;

t.test('tensors lie one behind the other, in the order of their names, and fill the file', async (t) => {
  for (const size of [MIB, 256 * MIB]) {
    const header = safetensorsHeader(size);
    t.equal(Number(header.readBigUInt64LE()), header.length - 8, 'the length is in front');
    const { __metadata__: metadata, ...tensors } = JSON.parse(header.subarray(8).toString()) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >;
    t.ok(metadata);
    t.same(Object.keys(tensors), Object.keys(tensors).toSorted());
    let at = 0;
    for (const {
      shape,
      data_offsets: [start, end],
    } of Object.values(tensors)) {
      if (start !== at || end - start !== (shape[0] ?? 0) * 2) t.fail(`a tensor at ${start}`);
      at = end;
    }
    t.equal(at, size - header.length);
  }
});
