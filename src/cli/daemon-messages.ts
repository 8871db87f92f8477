/** What `sluice mount` and the daemon it starts say to each other over their IPC channel. */
import type { MountConfig } from '../config/mount-config.js';
import type { StatusReport } from '../observability/status-report.js';

/** First and only message to the daemon. */
export interface StartMessage {
  readonly type: 'start';
  readonly config: MountConfig;
}

/** First and only message from it; after `ready` both close the channel. */
export type OutcomeMessage =
  | { readonly type: 'ready'; readonly report: StatusReport }
  | { readonly type: 'failed'; readonly message: string; readonly exitCode: number };
