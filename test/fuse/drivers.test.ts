/** Who carries the mount, and what is said when that is not who was asked for. */
import t from 'tap';
import type { Filesystem } from '../../src/filesystem/filesystem.js';
import type { SessionOptions } from '../../src/fuse/session.js';
import { chooseDriver } from '../../src/fuse/drivers.js';
import type { DriverDeps } from '../../src/fuse/drivers.js';
import { NativeAddonError } from '../../src/native.js';
import { createLogger } from '../../src/observability/logger.js';
import { TransferMetrics } from '../../src/observability/metrics.js';
import { FakeAddon } from '../support/fake-addon.js';
import { SimulatedClock } from '../support/simulated-clock.js';

function deps(changes: Partial<DriverDeps> = {}) {
  const lines: { readonly level: number; readonly msg: string }[] = [];
  const logger = createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as never) });
  const clock = new SimulatedClock();
  const metrics = new TransferMetrics(clock);
  const loadAddon = () => new FakeAddon();
  return { lines, deps: { clock, logger, metrics, platform: 'linux', loadAddon, ...changes } as const };
}

const NATIVE = { name: 'native', inodeBits: 53, versionsApart: true } as const;
const PORTABLE = { name: 'portable', inodeBits: 32, versionsApart: false, directReads: undefined } as const;
const cannotLoad = () => {
  throw new NativeAddonError('the native driver cannot be loaded (no such file)');
};

t.test('auto is native on Linux, portable elsewhere; what is asked for is taken', async (t) => {
  const { deps: linux, lines } = deps();
  const native = chooseDriver('auto', linux);
  t.match(native, NATIVE);
  t.ok(native.directReads, 'the stores are told of reads that it answers');
  t.match(chooseDriver('native', linux), NATIVE);
  t.match(chooseDriver('portable', linux), PORTABLE);
  t.match(chooseDriver('auto', deps({ platform: 'darwin', loadAddon: cannotLoad }).deps), PORTABLE);
  t.same(lines, []);
});

t.test('where it cannot be loaded auto says so once and goes on, native does not', async (t) => {
  const { deps: without, lines } = deps({ loadAddon: cannotLoad });
  const portable = chooseDriver('auto', without);
  t.match(portable, PORTABLE);
  const { note } = portable.createSession({} as Filesystem, {} as SessionOptions).status();
  t.match(note, /cannot be loaded \(no such file\): build it with make build/, 'status says why');
  t.match(lines, [{ level: 40, msg: /cannot be loaded \(no such file\).*make build.*portable driver/ }]);
  t.throws(() => chooseDriver('native', without), {
    code: 'driver_unavailable',
    message: /cannot be loaded.*make build.*without --driver native/,
  });
  t.throws(() => chooseDriver('native', deps({ platform: 'darwin' }).deps), {
    code: 'driver_unavailable',
    message: /Linux only/,
  });
});

t.test('a bug of the addon is no reason to go on with another driver', async (t) => {
  const bug = new TypeError('bug');
  const { deps: broken } = deps({
    loadAddon: () => {
      throw bug;
    },
  });
  t.throws(() => chooseDriver('auto', broken), bug);
});
