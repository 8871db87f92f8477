import t from 'tap';
import {
  encodeSource,
  fusermountOptions,
  kernelMountOptions,
  portableMountOptions,
} from '../../src/fuse/mount-options.js';

const options = {
  mountpoint: '/m',
  source: 's3://b/p',
  allowOther: false,
  metadataTtlMs: 60_000,
  readDeadlineMs: 60_000,
  fuseThreads: 2,
  passthrough: true,
  traceReads: false,
};

t.test('Linux: what the kernel may rely on, and for how long', async (t) => {
  t.equal(
    portableMountOptions(options, 'linux'),
    'nosuid,nodev,use_ino,entry_timeout=1,negative_timeout=0,attr_timeout=1,fsname=s3://b/p,subtype=sluice',
  );
  t.match(
    portableMountOptions({ ...options, metadataTtlMs: 0 }, 'linux'),
    /,entry_timeout=0,.*attr_timeout=0,/,
  );
  t.match(
    portableMountOptions({ ...options, metadataTtlMs: 250 }, 'linux'),
    /,entry_timeout=0\.25,.*attr_timeout=0\.25,/,
  );
});

t.test('other users see the mount with the permissions it shows', async (t) => {
  t.match(
    portableMountOptions({ ...options, allowOther: true }, 'linux'),
    /,allow_other,default_permissions,/,
  );
});

t.test('macOS: a volume name and no files of Finder', async (t) => {
  const text = portableMountOptions({ ...options, source: 's3://b/my data/' }, 'darwin');
  t.match(text, /,volname=my%20data,noappledouble,noapplexattr,daemon_timeout=600$/);
  t.notMatch(text, /subtype/);
});

t.test('a source cannot become an option', async (t) => {
  t.equal(encodeSource('s3://b/a,rw\\,x%20 \n"'), 's3://b/a%2Crw%5C%2Cx%2520%20%0A%22');
  t.equal(encodeSource('s3://b/ü/日本'), 's3://b/ü/日本');
  t.equal(encodeSource('\ud800'), '%EF%BF%BD');
  for (const character of [',', '日', '\u{1f9ff}', 'x']) {
    const text = portableMountOptions({ ...options, source: `s3://b/${character.repeat(1024)}` }, 'linux');
    t.ok(Buffer.byteLength(text) < 1023, `a long source of ${character} is cut`);
    t.match(text, /\.\.\.,subtype=sluice$/);
  }
});

t.test('the native driver: what the kernel is told, and what fusermount3', async (t) => {
  const owner = { uid: 0, gid: 7 };
  t.equal(kernelMountOptions(options, owner), 'rootmode=40000,user_id=0,group_id=7');
  t.equal(
    kernelMountOptions({ allowOther: true }, owner),
    'rootmode=40000,user_id=0,group_id=7,allow_other,default_permissions',
  );
  t.equal(fusermountOptions(options), 'nosuid,nodev,fsname=s3://b/p,subtype=sluice');
  t.equal(
    fusermountOptions({ source: 's3://b/a,dev', allowOther: true }),
    'nosuid,nodev,fsname=s3://b/a%2Cdev,subtype=sluice,allow_other,default_permissions',
  );
});
