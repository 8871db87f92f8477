/**
 * Files and index are made to agree again, after an end at any moment: once, when a daemon starts. A row is there before
 * its files and gone after them, and files are made and deleted by who holds the claim; so a file without a row belongs
 * to nobody, however young it is, and a row that nobody has open and that has no data says nothing.
 */
import { join } from 'node:path';
import { asError } from '../runtime/assert.js';
import type { Logger } from '../observability/logger.js';
import type { CacheDirectory } from './cache-directory.js';
import type { FileOperations } from './file-operations.js';

export interface ReconcileDeps {
  readonly files: FileOperations;
  readonly logger: Logger;
}

const FOLDER_NAME = /^[0-9a-f]{2}$/;
const FILE_NAME = /^([0-9a-f]{24})(\.part|\.map)?$/;

export interface Reconciled {
  /** Files without a row, which were deleted, and rows without data, which are doomed. */
  readonly files: number;
  readonly rows: number;
}

/** @throws what the index says */
export function reconcile(directory: CacheDirectory, { files, logger }: ReconcileDeps): Reconciled {
  const { index, path } = directory;
  const data = join(path, 'data');
  // Files first: what comes later has a row already.
  const found = new Map<string, string[]>();
  for (const folder of files.list(data)) {
    if (!FOLDER_NAME.test(folder)) continue;
    for (const file of files.list(join(data, folder))) {
      const [, name = ''] = FILE_NAME.exec(file) ?? [];
      found.set(name, [...(found.get(name) ?? []), join(data, folder, file)]);
    }
  }
  const rows = index.catalogue.names();
  let orphans = 0;
  for (const [name, paths] of found) {
    if (rows.has(name)) continue;
    const remove = () => {
      for (const orphan of paths) if (files.unlink(orphan)) orphans += 1;
    };
    try {
      // Again, in case it was claimed just now.
      index.evictions.ifUnknown(name, remove);
    } catch (error) {
      logger.warn({ err: asError(error), paths }, 'files that belong to no copy could not be deleted');
    }
  }
  let forgotten = 0;
  for (const [name, row] of rows) {
    // Bytes are counted before they are written. What is open, or expected by a pin, stays.
    const isEmpty = row.bytes === 0 || !hasData(found.get(name));
    if (isEmpty && row.state !== 'evicting' && index.evictions.take(row.id)) forgotten += 1;
  }
  const reconciled = { files: orphans, rows: forgotten };
  if (orphans + forgotten > 0) logger.info(reconciled, 'the cache and its index did not agree: put right');
  return reconciled;
}

function hasData(paths: readonly string[] | undefined): boolean {
  return paths?.some((path) => !path.endsWith('.map')) ?? false;
}
