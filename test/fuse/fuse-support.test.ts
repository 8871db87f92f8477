import t from 'tap';
import { checkFuseSupport, checkPortableDriver, thisMachine } from '../../src/fuse/fuse-support.js';
import type { FuseMachine, FuseUse } from '../../src/fuse/fuse-support.js';

/** A Linux user's machine on which everything is in place. */
const machine: FuseMachine = {
  platform: 'linux',
  arch: 'x64',
  isRoot: false,
  exists: () => true,
  isReadWrite: () => true,
  readText: () => '# comment\nuser_allow_other\n',
  isProgram: () => true,
};
const own = { allowOther: false, driver: 'portable' } as const;
const others = { allowOther: true, driver: 'portable' } as const;
const native = { allowOther: false, driver: 'native' } as const;

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
  const cases: readonly [string, Partial<FuseMachine>, FuseUse, string, RegExp][] = [
    ['no device', { exists: () => false }, own, 'fuse_missing', /modprobe fuse/],
    ['no access to it', { isReadWrite: () => false }, own, 'fuse_denied', /\/dev\/fuse/],
    ['no access to it (native)', { isReadWrite: () => false }, native, 'fuse_denied', /\/dev\/fuse/],
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
      'no fusermount3',
      { isProgram: (name) => name !== 'fusermount3' },
      native,
      'fuse_missing',
      /install -y fuse3$/,
    ],
    ['no macFUSE', { platform: 'darwin', exists: () => false }, own, 'fuse_missing', /macFUSE is missing/],
  ];
  for (const [name, missing, options, code, message] of cases) {
    t.throws(() => checkFuseSupport({ ...machine, ...missing }, options), { code, message }, name);
  }
});

t.test('the native driver needs fusermount3 alone', async (t) => {
  checkFuseSupport({ ...machine, isProgram: (name) => name === 'fusermount3' }, native);
  t.pass();
});

t.test('why the portable driver cannot be loaded', async (t) => {
  checkPortableDriver(machine, () => {});
  const cases = [
    ['ERR_DLOPEN_FAILED', 'x64', /libfuse\.so\.2 is missing.*libfuse2t64/],
    ['ERR_DLOPEN_FAILED', 'arm64', /libfuse\.so\.2 is missing/],
    ['X', 'arm64', /no binary for linux-arm64/],
    ['MODULE_NOT_FOUND', 'x64', /cannot be loaded/],
  ] as const;
  for (const [code, arch, message] of cases) {
    const check = () => checkPortableDriver({ ...machine, arch }, throwing(code));
    t.throws(check, { code: 'fuse_missing', message }, `${code} on ${arch}`);
  }
});

t.test('this machine is looked at as it is', async (t) => {
  const real = thisMachine();
  t.equal(real.isProgram('sh'), true);
  t.equal(real.isProgram('no-such-program-anywhere'), false);
  t.equal(real.exists('/'), true);
  t.equal(real.isReadWrite('/no/such/path'), false);
  t.equal(real.readText('/no/such/path'), undefined);
  t.match(real.readText(import.meta.filename), /this machine/);
});
