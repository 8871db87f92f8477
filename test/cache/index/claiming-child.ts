/**
 * Claims copies over and over, as one of several processes: whoever holds a claim raises a number in a file in two steps,
 * so that two holders at once would lose one. Says how often it held a claim. Arguments: folder, id, rounds, copies.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CacheIndex } from '../../../src/cache/index/cache-index.js';

const [folder = '', id = '', rounds = '', copies = ''] = process.argv.slice(2);

const index = new CacheIndex(
  join(folder, 'index.sqlite'),
  { id, pid: process.pid, started: '', shares: true },
  { isAlive: () => true, wallTimeMs: () => 0 },
);
const claimed = Array.from({ length: Number(copies) }, () => 0);
for (let round = 0; round < Number(rounds); round++) {
  const number = (round * 7 + process.pid) % Number(copies);
  const version = { endpoint: 'e', bucket: 'b', key: `k${number}`, etag: '"1"', size: 1 };
  const acquired = index.claims.acquire(version, `${id}-${round}`, {
    isWhole: () => true,
    claimed: () => {},
  });
  if (acquired.kind === 'busy') throw new Error('what was released is in use');
  if (acquired.kind === 'claimed') {
    const file = join(folder, `count${number}`);
    writeFileSync(file, String(Number(readFileSync(file, 'utf8')) + 1));
    claimed[number] = (claimed[number] ?? 0) + 1;
    index.claims.charge(acquired.row.id, round, Number.MAX_SAFE_INTEGER);
  }
  index.claims.release(acquired.row.id, `${id}-${round}-next`, { stamp: 's', bytes: round + 1 });
}
index.close();
process.send?.(claimed);
