/** Reads a file of the demo's mount as any program would, from front to back, hashing it and telling how it goes. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Clock } from '../runtime/clock.js';

export interface ReadProgress {
  readonly bytesRead: number;
  readonly elapsedMs: number;
}

export interface ReadSteps {
  /** The first bytes are there. */
  readonly onFirstByte: (progress: ReadProgress) => void;
  /** A quarter more has been read. */
  readonly onQuarter: (progress: ReadProgress) => void;
}

/** What `cp` and `cat` ask for at once, about. */
const READ_BYTES = 256 * 1024;

/** SHA-256 of the whole file, which must have `size` bytes. */
export async function readAndHash(
  path: string,
  size: number,
  clock: Clock,
  steps: ReadSteps,
): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const startedMs = clock.nowMs();
  const file = await open(path, 'r');
  try {
    for (let bytesRead = 0; ;) {
      const { bytesRead: length } = await file.read(buffer, 0, READ_BYTES, bytesRead);
      const before = bytesRead;
      bytesRead += length;
      const progress = { bytesRead, elapsedMs: clock.nowMs() - startedMs };
      if (length === 0) break;
      hash.update(buffer.subarray(0, length));
      if (before === 0) steps.onFirstByte(progress);
      if (Math.floor((before * 4) / size) < Math.floor((bytesRead * 4) / size)) steps.onQuarter(progress);
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
