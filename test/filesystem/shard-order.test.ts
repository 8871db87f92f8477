/** Names of shards: which one follows, and what must lie beside. */
import t from 'tap';
import { isShardName, nextShard } from '../../src/filesystem/shard-order.js';

function next(name: string, ...others: readonly string[]): string | undefined {
  return nextShard(name, (other) => others.includes(other));
}

t.test('the next number, when the index and the file are there', async (t) => {
  const [first, second] = ['model-00001-of-00003.safetensors', 'model-00002-of-00003.safetensors'];
  t.equal(next(first, second, 'model.safetensors.index.json'), second);
  t.equal(next(first, second), undefined, 'without an index they may be anything');
  t.equal(next(first, second, 'model.index.json', 'other.safetensors.index.json'), undefined);
  t.equal(next(first, 'model.safetensors.index.json'), undefined, 'there is no such file');
  t.equal(
    next(
      'pytorch_model-00009-of-00010.bin',
      'pytorch_model-00010-of-00010.bin',
      'pytorch_model.bin.index.json',
    ),
    'pytorch_model-00010-of-00010.bin',
  );
});

t.test('the splits of a gguf need no index', async (t) => {
  t.equal(next('a-b-00001-of-00002.gguf', 'a-b-00002-of-00002.gguf'), 'a-b-00002-of-00002.gguf');
  t.equal(next('a-00001-of-00002.gguf', 'a-00002-of-00003.gguf'), undefined, 'of another model');
});

t.test('the last shard, and what is no shard, is followed by nothing', async (t) => {
  const everything = () => true;
  t.equal(nextShard('a-00002-of-00002.gguf', everything), undefined);
  t.equal(nextShard('a-00003-of-00002.gguf', everything), undefined);
  for (const name of [
    'a.gguf',
    'a-1-of-2.gguf',
    '-00001-of-00002.gguf',
    'a-00001-of-00002.txt',
    'a-00001-of-00002',
  ]) {
    t.equal(isShardName(name), false, name);
    t.equal(nextShard(name, everything), undefined, name);
  }
  t.equal(isShardName('a-00001-of-00002.gguf'), true);
});
