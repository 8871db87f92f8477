import t from 'tap';
import { isNetwork, networkFileSystem, typeOfDevice, typeOfPlace } from '../../src/cache/local-disk.js';

t.test('network file systems are recognised', async (t) => {
  t.equal(networkFileSystem(t.testdir({})), undefined);
  for (const type of [
    'nfs',
    'nfs4',
    'cifs',
    'smb3',
    'ceph',
    '9p',
    'lustre',
    'afs',
    'smbfs',
    'webdav',
    'fuse.sshfs',
    'fuse.sluice',
    'fuse',
    'macfuse',
  ]) {
    t.ok(isNetwork(type), type);
  }
  for (const type of [
    'ext4',
    'xfs',
    'btrfs',
    'tmpfs',
    'overlay',
    'apfs',
    'zfs',
    'fuseblk',
    'fuse.fuse-overlayfs',
    'virtiofs',
  ]) {
    t.notOk(isNetwork(type), type);
  }
  const mountinfo = [
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    '40 22 0:45 / /mnt/with\\040space rw - nfs4 server:/x rw',
    '41 22 259:262150 / /big rw - xfs /dev/nvme0n1p9 rw',
  ].join('\n');
  t.equal(typeOfDevice(mountinfo, 0x801), 'ext4');
  t.equal(typeOfDevice(mountinfo, 45), 'nfs4');
  t.equal(typeOfDevice(mountinfo, Number((262144n << 12n) | (259n << 8n) | 6n)), 'xfs');
  t.equal(typeOfDevice(mountinfo, 46), undefined);
  const mounts =
    '/dev/disk3s1 on / (apfs, local, journaled)\n//me@host/share on /Volumes/share (smbfs, nodev)\n';
  t.equal(typeOfPlace(mounts, '/Volumes/share/cache'), 'smbfs');
  t.equal(typeOfPlace(mounts, '/Volumes/shared'), 'apfs');
});
