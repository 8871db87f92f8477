import t from 'tap';
import type { Content } from '../../src/file/content.js';
import { HandleTable } from '../../src/filesystem/handle-table.js';
import { NodeTable } from '../../src/filesystem/node-table.js';

const nodes = new NodeTable({ inodeBits: 32, unpinnedMax: 10, mountedMs: 0 });
const facts = { kind: 'file', size: 1, etag: '"a"', modifiedMs: 0, archived: false } as const;
const node = nodes.show('a', facts, 0);
const content: Content = {
  version: { endpoint: '', bucket: '', key: 'a', etag: '"a"', size: 1 },
  storeId: 's1',
  direct: undefined,
  complete: false,
  replacesCorrupt: false,
  read: async () => 0,
  onceHalfHere: () => {},
  close: () => {},
};

t.test('handles are 1…2³¹−1 and used again only after all others were', async (t) => {
  const handles = new HandleTable({ openHandlesMax: 10, firstId: 2 ** 31 - 2 });
  t.same(
    Array.from({ length: 4 }, () => handles.add(node, content).id),
    [2 ** 31 - 2, 2 ** 31 - 1, 1, 2],
  );
  const again = new HandleTable({ openHandlesMax: 10, firstId: 2 ** 31 - 1 });
  again.add(node, content);
  again.add(node, content);
  t.equal(again.release(1)?.id, 1);
  t.equal(again.add(node, content).id, 2);
  t.equal(again.size, 2);
});

t.test('a number in use is passed over', async (t) => {
  const handles = new HandleTable({ openHandlesMax: 10, firstId: 2 ** 31 - 1 });
  t.equal(handles.add(node, content).id, 2 ** 31 - 1);
  for (let id = 1; id <= 3; id++) handles.add(node, content);
  t.same(
    handles.ids().sort((a, b) => a - b),
    [1, 2, 3, 2 ** 31 - 1],
  );
});
