/** An owner and a follower in one process, over a real socket, for the tests of the peers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { encodeMessages, PEER_PROTOCOL } from '../../../src/cache/peers/messages.js';
import { PeerLinks } from '../../../src/cache/peers/peer-links.js';
import { PeerServer } from '../../../src/cache/peers/peer-server.js';
import { ownerSocketPath } from '../../../src/cache/peers/peer-socket.js';
import { createLogger, silentLogger } from '../../../src/observability/logger.js';
import { SimulatedClock } from '../../support/simulated-clock.js';
import { MIB, RecordingHost, RecordingListener, versionOf } from './recording.js';

export const OWNER = 'owner';
export const HELLO = encodeMessages([{ kind: 'hello', protocol: PEER_PROTOCOL }]);
export const FIRST = { start: 0, end: MIB };

export function useDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function useLinks(t: Test, directory: string): { links: PeerLinks; clock: SimulatedClock } {
  const clock = new SimulatedClock();
  const links = new PeerLinks(directory, { clock, logger: silentLogger });
  t.teardown(() => links.close());
  return { links, clock };
}

/** An owner and a follower on one directory. */
export async function usePeers(t: Test) {
  const directory = useDirectory(t);
  const host = new RecordingHost();
  const path = ownerSocketPath(directory, OWNER);
  /** Lines of the owner's log. */
  const warnings: string[] = [];
  const logger = createLogger('warn', { write: (line) => void warnings.push(line) });
  const server = await PeerServer.listen(path, { host, logger });
  t.teardown(() => server.close());
  return { directory, path, host, server, warnings, ...useLinks(t, directory) };
}

export function follow(links: PeerLinks, key: string) {
  const heard = new RecordingListener();
  return { heard, link: links.follow(OWNER, versionOf(key), heard) };
}
