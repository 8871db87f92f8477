/** A daemon of which only the peers are there, as a process of its own: started by processes.test.ts, told by messages. */
import { PeerLinks } from '../../../src/cache/peers/peer-links.js';
import { PeerServer } from '../../../src/cache/peers/peer-server.js';
import { ownerSocketPath } from '../../../src/cache/peers/peer-socket.js';
import { silentLogger } from '../../../src/observability/logger.js';
import { systemClock } from '../../../src/runtime/clock.js';
import { RecordingHost, RecordingListener, versionOf } from './recording.js';

export type PeerCommand =
  | { readonly kind: 'own'; readonly directory: string; readonly ownerId: string }
  /** Opens so many copies at an owner, and waits until each was answered. */
  | { readonly kind: 'follow'; readonly directory: string; readonly ownerId: string; readonly copies: number }
  | { readonly kind: 'count' };

export interface PeerAnswer {
  /** Copies that followers have open here, and demands they made so far. */
  readonly open: number;
  readonly demands: number;
}

const host = new RecordingHost();

async function obey(command: PeerCommand): Promise<void> {
  if (command.kind === 'own') {
    await PeerServer.listen(ownerSocketPath(command.directory, command.ownerId), {
      host,
      logger: silentLogger,
    });
  }
  if (command.kind === 'follow') {
    const links = new PeerLinks(command.directory, { clock: systemClock, logger: silentLogger });
    for (let copy = 0; copy < command.copies; copy += 1) {
      const heard = new RecordingListener();
      links.follow(command.ownerId, versionOf(`key ${copy}`), heard).demand({ start: copy, end: copy + 1 });
      await heard.nextOf('arrived');
    }
  }
}

process.on('message', (command: PeerCommand) => {
  void obey(command).then(() => {
    const demands = host.copies.reduce((sum, { demanded }) => sum + demanded.length, 0);
    const answer: PeerAnswer = { open: host.openCount, demands };
    process.send?.(answer);
  });
});
process.on('disconnect', () => process.exit());
