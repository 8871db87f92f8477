/**
 * Mounts of an unprivileged user, by running the tests of sessions as one: in a mount namespace of its own, with a
 * device that it may open, since many machines keep theirs for root. Needs root to become somebody else.
 */
import { accessSync, constants, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { run } from '../support/processes.js';

/** Nobody, on all systems. */
const USER = '65534';
const FILES = ['session', 'replaced', 'lifecycle'];
const DEVICE_SCRIPT = 'mknod -m 666 "$0" c 10 229 && mount --bind "$0" /dev/fuse && exec "$@"';

/** Whether everybody may look into all folders on the way to this file. */
function isReadableByAll(folder: string): boolean {
  return (statSync(folder).mode & 0o005) === 0o005 && (folder === '/' || isReadableByAll(dirname(folder)));
}

function skipReason(): string | undefined {
  if (process.geteuid?.() !== 0) return 'only root may become another user';
  if (!isReadableByAll(import.meta.dirname)) return 'other users may not read these files';
  try {
    accessSync('/dev/fuse', constants.R_OK);
    return undefined;
  } catch {
    return 'there is no /dev/fuse';
  }
}

const skip = skipReason();

for (const file of FILES) {
  t.test(`${file}.test as an unprivileged user`, skip === undefined ? {} : { skip }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-device-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const become = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--'];
    // Nothing of the runner's, which would have every process load what writes into folders of its own.
    const clean = ['env', '-i', `PATH=${process.env['PATH']}`, `HOME=${folder}`, 'TAP=1'];
    const program = [process.execPath, join(import.meta.dirname, `${file}.test.js`)];
    const device = join(folder, 'fuse');
    const args = ['--mount', 'sh', '-c', DEVICE_SCRIPT, device, ...become, ...clean, ...program];
    const { code, stdout, stderr } = await run('unshare', args, { timeoutMs: 120_000 });
    const output = stdout.toString();
    t.equal(
      code,
      0,
      `${output
        .split('\n')
        .filter((line) => /^ *not ok/.test(line))
        .join('\n')}${stderr}`,
    );
    t.match(output, /^ok 1 - .*native/m, 'with the native driver');
    t.match(output, /^ok \d+ - .*portable/m, 'with the portable driver');
  });
}
