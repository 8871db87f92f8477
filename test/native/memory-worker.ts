/**
 * Maps the file that it is told of and sets bits in it, together with other threads and processes that do the same: what
 * memory.test.ts starts, as a thread or as a process of its own, which then answers each message with one.
 */
import { openSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { unreachable } from '../../src/runtime/assert.js';
import { loadNativeAddon } from '../../src/native.js';

/** One of `writers` that share a map: bit `writer` and every `writers`-th behind it are its own. */
export interface BitWriter {
  readonly descriptor: number;
  readonly bytes: number;
  readonly writer: number;
  readonly writers: number;
}

export type MemoryCommand =
  { readonly do: 'lock' } | ({ readonly do: 'set' } & Omit<BitWriter, 'descriptor'>);

export interface MemoryAnswer {
  readonly locked?: boolean;
}

const addon = loadNativeAddon();

/** The first 16 bytes are two counters, of 32 and 64 bits; bits follow. */
function setBits({ descriptor, bytes, writer, writers }: BitWriter): void {
  const map = addon.mapFile(descriptor, 0, bytes);
  const count32 = new Int32Array(map, 0, 1);
  const count64 = new BigInt64Array(map, 8, 1);
  const words = new Int32Array(map, 16);
  for (let bit = writer; bit < words.length * 32; bit += writers) {
    Atomics.or(words, bit >>> 5, 1 << (bit & 31));
    Atomics.add(count32, 0, 1);
    for (;;) {
      const seen = Atomics.load(count64, 0);
      if (Atomics.compareExchange(count64, 0, seen, seen + 1n) === seen) break;
    }
  }
  addon.unmapFile(map);
}

const [path] = process.argv.slice(2);
if (workerData !== null) setBits(workerData as BitWriter);
else if (path !== undefined) {
  const descriptor = openSync(path, 'r+');
  process.on('message', (command: MemoryCommand) => {
    const answer = (answer: MemoryAnswer) => void process.send?.(answer);
    switch (command.do) {
      case 'lock':
        return answer({ locked: addon.lockFile(descriptor) });
      case 'set':
        setBits({ ...command, descriptor });
        return answer({});
      default:
        return unreachable(command);
    }
  });
  process.once('disconnect', () => process.exit());
}
