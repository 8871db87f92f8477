/** What the addon reports when something is wrong, in words for the log. Used by native-session.ts. */
import type { Logger } from '../observability/logger.js';
import { operationOf } from './fuse-protocol.js';

export interface NativeProblem {
  /** See `Problem` in native/events.h. */
  readonly code: number;
  readonly errno: number;
  readonly detail: number;
}

/** The kernel, the user's rights or the local disk do not allow it; told once. */
export const NO_PASSTHROUGH = 4;

export function logProblem(logger: Logger, { code, errno, detail }: NativeProblem): void {
  switch (code) {
    case 1:
      logger.error({ errno }, 'the kernel refused a reply: its caller got EIO');
      return;
    case 2:
      logger.error(
        { reason: errno, operation: operationOf(detail), opcode: detail },
        'the kernel sent a request that makes no sense: it was refused',
      );
      return;
    case 3:
      logger.error({ errno, file: detail }, 'a local file could not be read: the reader got EIO');
      return;
    case NO_PASSTHROUGH:
      logger.info({ errno }, 'no passthrough here: the kernel reads complete files through Sluice');
      return;
    case 5:
      logger.info({ events: detail }, 'reads came faster than they could be traced: some were not seen');
      return;
    default:
      logger.error({ code, errno, detail }, 'the native driver reports a problem without a name');
  }
}
