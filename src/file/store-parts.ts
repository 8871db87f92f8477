/**
 * What a TempFileStore is put together from, and how the parts know each other: its local file, the room for it on the
 * disk, what fills it, and what compares it with the object.
 */
import type { LocalCopy } from '../cache/local-copy.js';
import type { ObjectChecksums } from '../object-store/object-store.js';
import type { ByteRange } from '../runtime/range.js';
import type { LocalFile } from './sparse-file.js';
import { StoreChecksums } from './store-checksums.js';
import type { TempFileStoreDeps } from './store-deps.js';
import { StoreFile } from './store-file.js';
import { StoreFilling } from './store-filling.js';
import type { FilledStore } from './store-filling.js';
import { StoreRoom } from './store-room.js';
import { noRoomError } from './store-state.js';
import { StoreTarget } from './store-target.js';
import type { TargetedStore } from './store-target.js';
import type { StoreWaiters } from './store-waiters.js';

export interface StoreParts {
  readonly file: LocalFile;
  readonly storeFile: StoreFile;
  readonly room: StoreRoom;
  readonly target: StoreTarget;
  readonly filling: StoreFilling;
  readonly checksums: StoreChecksums;
}

export function assembleParts(
  store: TargetedStore & FilledStore,
  copy: LocalCopy,
  deps: TempFileStoreDeps,
  waiters: StoreWaiters,
): StoreParts {
  const { id, version, availability } = store;
  const { clock, logger } = deps;
  const { readers } = waiters;
  const file = deps.createFile(copy, version.size);
  const room: StoreRoom = new StoreRoom(store, {
    copy,
    logger,
    bytesInFlight: () => filling.bytesInFlight + storeFile.orphanBytes,
    isInUse: (range) => readers.wants(range) || filling.isUnderWay(range) || storeFile.isBeingWritten(range),
    leftCache: () => waiters.fills.fail(noRoomError(version)),
    punch: (range) => file.punch(range),
  });
  const makeRoom = (bytes: number, range: ByteRange) =>
    deps.makeRoom(bytes) || room.free(bytes, { demanded: readers.wants(range) });
  const storeFile: StoreFile = new StoreFile(version, file, { makeRoom });
  const told = (answer: ObjectChecksums) => checksums.told(answer);
  const target = new StoreTarget(store, { copy, storeFile, room, waiters, told, clock, logger });
  const filling = new StoreFilling(store, target, copy, file, {
    ...deps,
    unfilled: (error) => waiters.fills.fail(error),
  });
  const resultBefore = copy.trust === 'unverified' ? undefined : copy.verdict;
  const blocks = copy.memory.checksums;
  const checksums: StoreChecksums = new StoreChecksums(
    { id, version, availability, blocks, resultBefore },
    file,
    {
      ...deps,
      onCorrupt: () => store.corrupted(),
    },
  );
  return { file, storeFile, room, target, filling, checksums };
}
