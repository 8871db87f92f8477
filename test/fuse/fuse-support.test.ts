import t from 'tap';
import { checkFuseSupport, thisMachine } from '../../src/fuse/fuse-support.js';
import type { FuseMachine } from '../../src/fuse/fuse-support.js';

/** A Linux user's machine on which everything is in place. */
const machine: FuseMachine = {
  platform: 'linux',
  arch: 'x64',
  isRoot: false,
  exists: () => true,
  isReadWrite: () => true,
  readText: () => '# comment\nuser_allow_other\n',
  isProgram: () => true,
  loadDriver: () => {},
};
const own = { allowOther: false };
const others = { allowOther: true };

function throwing(code: string) {
  return () => {
    throw Object.assign(new Error('loader'), { code });
  };
}

t.test('a machine that has everything may mount', async (t) => {
  checkFuseSupport(machine, others);
  checkFuseSupport({ ...machine, platform: 'darwin', arch: 'arm64' }, others);
  checkFuseSupport({ ...machine, isRoot: true, isProgram: () => false, readText: () => undefined }, others);
  t.pass();
});

t.test('what is missing is named with what brings it', async (t) => {
  const cases: readonly [string, Partial<FuseMachine>, typeof own, string, RegExp][] = [
    ['no device', { exists: () => false }, own, 'fuse_missing', /modprobe fuse/],
    ['no access to it', { isReadWrite: () => false }, own, 'fuse_denied', /\/dev\/fuse/],
    ['no fusermount', { isProgram: () => false }, own, 'fuse_missing', /apt-get install -y fuse3 libfuse2/],
    [
      'no line in fuse.conf',
      { readText: () => '#user_allow_other\n' },
      others,
      'allow_other_denied',
      /user_allow_other to \/etc\/fuse.conf/,
    ],
    ['no fuse.conf', { readText: () => undefined }, others, 'allow_other_denied', /user_allow_other/],
    [
      'no libfuse',
      { loadDriver: throwing('ERR_DLOPEN_FAILED') },
      own,
      'fuse_missing',
      /libfuse\.so\.2 is missing.*libfuse2t64/,
    ],
    [
      'no binary',
      { arch: 'arm64', loadDriver: throwing('X') },
      own,
      'fuse_missing',
      /no binary for linux-arm64/,
    ],
    ['no package', { loadDriver: throwing('MODULE_NOT_FOUND') }, own, 'fuse_missing', /cannot be loaded/],
    ['no macFUSE', { platform: 'darwin', exists: () => false }, own, 'fuse_missing', /macFUSE is missing/],
  ];
  for (const [name, missing, options, code, message] of cases) {
    t.throws(() => checkFuseSupport({ ...machine, ...missing }, options), { code, message }, name);
  }
});

t.test('this machine is looked at as it is', async (t) => {
  const real = thisMachine(() => {});
  t.equal(real.isProgram('sh'), true);
  t.equal(real.isProgram('no-such-program-anywhere'), false);
  t.equal(real.exists('/'), true);
  t.equal(real.isReadWrite('/no/such/path'), false);
  t.equal(real.readText('/no/such/path'), undefined);
  t.match(real.readText(import.meta.filename), /this machine/);
});
