/**
 * Which file of a directory a loader opens after this one: pure, used by sibling-shards.ts.
 *
 * Large models are cut into `STEM-00001-of-00004.KIND`, and loaders go through them by number (transformers and vLLM
 * sort the names that the index lists). safetensors and PyTorch shards belong together by `STEM.KIND.index.json`
 * beside them; the splits of a gguf need no index, the first one says how many there are.
 */
const SHARD_NAME = /^(.+)-(\d{5})-of-(\d{5})\.(safetensors|bin|gguf)$/s;

export function isShardName(name: string): boolean {
  return SHARD_NAME.test(name);
}

/**
 * The shard behind `name`, if there is one.
 * @param has whether the directory has a file of this name
 */
export function nextShard(name: string, has: (name: string) => boolean): string | undefined {
  const [, stem, number, total, kind] = SHARD_NAME.exec(name) ?? [];
  if (number === undefined || Number(number) >= Number(total)) return undefined;
  if (kind !== 'gguf' && !has(`${stem}.${kind}.index.json`)) return undefined;
  const next = `${stem}-${String(Number(number) + 1).padStart(5, '0')}-of-${total}.${kind}`;
  return has(next) ? next : undefined;
}
