/**
 * A lock of the kernel on a file that is there only while it is held: it ends with its holder, however that ends. Used
 * for what only one worker on a directory may do at a time.
 *
 * Promise: of all that lock one path, one holds it. The file is removed before it is unlocked, so whoever locks the file
 * of a former holder finds that it is not the one at the path any more, and tries again.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, rmSync } from 'node:fs';

/** The addon's: false when another open file has the lock. */
export type TryLock = (descriptor: number) => boolean;

export interface HeldLock {
  /** Idempotent. */
  release(): void;
}

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/** Undefined when somebody else holds it. @throws NodeJS.ErrnoException */
export function lockPath(path: string, tryLock: TryLock): HeldLock | undefined {
  for (;;) {
    const descriptor = openSync(path, FLAGS, 0o600);
    let isLocked = false;
    try {
      if (!tryLock(descriptor)) return undefined;
      isLocked = isAt(path, descriptor);
    } finally {
      if (!isLocked) closeSync(descriptor);
    }
    if (isLocked) return heldLock(path, descriptor);
  }
}

function heldLock(path: string, descriptor: number): HeldLock {
  let isHeld = true;
  return {
    release: () => {
      if (!isHeld) return;
      isHeld = false;
      rmSync(path, { force: true });
      closeSync(descriptor);
    },
  };
}

function isAt(path: string, descriptor: number): boolean {
  const locked = fstatSync(descriptor, { bigint: true });
  const there = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return there !== undefined && there.ino === locked.ino && there.dev === locked.dev;
}
