/**
 * A daemon without a kernel and without S3, for the tests of its life: run as a child process, with the behaviour of
 * the composition root chosen by SLUICE_FAKE. Started by daemon.test.ts and background.test.ts.
 */
import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { daemonCommand } from '../../src/cli/background-daemon.js';
import { runDaemon } from '../../src/cli/daemon.js';
import type { MountBucket } from '../../src/cli/daemon.js';
import { loadMountConfig } from '../../src/config/load.js';
import { MountError } from '../../src/fuse/session.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { exampleReport } from '../support/example-report.js';

const behaviour = process.env['SLUICE_FAKE'] ?? '';
/** Creating this file is the fake's `umount`. */
const umountFile = process.env['SLUICE_FAKE_UMOUNT'] ?? '';

const mountBucket: MountBucket = async (config, { logger }) => {
  logger.info({ behaviour }, 'fake mount');
  if (behaviour === 'fails') throw new MountError('mountpoint_missing', '/m does not exist: create it');
  if (behaviour === 'crashes') process.kill(process.pid, 'SIGSEGV');
  if (behaviour === 'never mounts') await new Promise<never>(() => {});
  const gone = new Deferred<void>();
  if (umountFile !== '') {
    watch(dirname(umountFile), () => {
      if (existsSync(umountFile)) gone.resolve();
    });
  }
  if (behaviour === 'throws later') {
    process.once('SIGUSR2', () => {
      throw new Error('a bug');
    });
  }
  return {
    ended: gone.promise,
    status: () => exampleReport({ mountpoint: config.mountpoint, pid: process.pid }),
    handle: async (request, { send }) => send({ event: 'end', request }),
    unmount: async ({ force }) => {
      logger.info({ force }, 'fake unmount');
      if (behaviour !== 'hangs' || force) gone.resolve();
      await gone.promise;
    },
  };
};

async function main(): Promise<number> {
  if (process.send !== undefined) return daemonCommand(mountBucket);
  const user = { uid: 0, gid: 0, homeDir: '/', workingDir: '/' };
  const flags = { foreground: true };
  const { config } = loadMountConfig({
    source: 's3://bucket',
    mountpoint: '/m',
    flags,
    environment: {},
    user,
  });
  return runDaemon(config, {
    background: false,
    mountBucket,
    announce: () => process.stdout.write('ready\n'),
  });
}

const keepAlive = new MessageChannel();
keepAlive.port1.ref();
process.exit(await main());
