/** The native session over an addon without a kernel: how it mounts, what it passes on, and the ways it ends. */
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { DirectReadListener } from '../../src/file/direct-reads.js';
import { Availability } from '../../src/runtime/availability.js';
import { ContentError } from '../../src/file/content.js';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { packed, record } from '../support/packed.js';
import { ENDED, Machine, NEGOTIATED } from './native-machine.js';

t.test('mounts as root by mount(2), and says what was negotiated', async (t) => {
  const machine = new Machine(t, { allowOther: true });
  await machine.mounted();
  const { addon, session, native, mountpoint } = machine;
  const owner = `user_id=${process.geteuid?.()},group_id=${process.getegid?.()}`;
  const options = `rootmode=40000,${owner},allow_other,default_permissions`;
  t.same(addon.calls, [`mount s3://b/p ${mountpoint} ${options}`]);
  t.match(native.options, {
    threads: 3,
    cloneDescriptors: true,
    readBytesMax: 2 ** 20,
    readDeadlineMs: 5000,
    passthrough: true,
    traceReads: false,
  });
  t.match(session.status(), {
    name: 'native',
    versionsApart: true,
    protocol: '7.41',
    features: ['async-read', 'passthrough'],
    threads: 2,
    readBytesMax: 2 ** 20,
    passthrough: true,
  });
  await session.unmount({ force: false });
});

t.test('mounts as a user through fusermount3, which passes the descriptor', async (t) => {
  const machine = new Machine(t, { isRoot: false });
  const mounting = machine.session.mount();
  await machine.turns();
  machine.native.emit(NEGOTIATED);
  await mounting;
  const options = 'nosuid,nodev,fsname=s3://b/p,subtype=sluice';
  t.same(machine.commands, [`fusermount3 -o ${options} -- ${machine.mountpoint} 3=/dev/null3`]);
  t.equal(machine.native.options.passthrough, false, 'which is for root');
  await machine.session.unmount({ force: false });
  t.equal(machine.commands.at(-1), `fusermount3 -u -- ${machine.mountpoint}`);
});

t.test('tracing reads leaves none to the kernel alone', async (t) => {
  const machine = await new Machine(t, { traceReads: true }).mounted();
  t.match(machine.native.options, { passthrough: false, traceReads: true });
  await machine.session.unmount({ force: false });
});

t.test('a mount that fails leaves nothing, and says why', async (t) => {
  const errnoError = (errno: number) => Object.assign(new Error('mount: no'), { errno: -errno });

  await t.test('not permitted', async (t) => {
    const machine = new Machine(t);
    machine.addon.mountError = errnoError(constants.errno.EPERM);
    await t.rejects(machine.session.mount(), { code: 'fuse_denied', message: /--cap-add SYS_ADMIN/ });
  });
  await t.test('refused by the kernel', async (t) => {
    const machine = new Machine(t);
    machine.addon.mountError = errnoError(constants.errno.EINVAL);
    await t.rejects(machine.session.mount(), { code: 'mount_failed', message: /mount: no/ });
  });
  await t.test('refused by fusermount3', async (t) => {
    const machine = new Machine(t, { isRoot: false });
    machine.addon.descriptorSent = false;
    machine.exitCode = 1;
    await t.rejects(machine.session.mount(), { code: 'mount_failed', message: /fusermount3: no/ });
  });
  await t.test('the addon does not start', async (t) => {
    const machine = new Machine(t, { isRoot: false });
    machine.addon.startError = new Error('no threads');
    await t.rejects(machine.session.mount(), { code: 'mount_failed', message: /no threads/ });
    t.match(machine.commands.at(-1), /^fusermount3 -uz/, 'the mount is undone');
  });
  await t.test('no request comes', async (t) => {
    const machine = new Machine(t, { isRoot: false });
    const refused = t.rejects(machine.session.mount(), { code: 'mount_failed', message: /within 10 s/ });
    await machine.turns();
    await machine.advance(10_000);
    await refused;
    t.same(machine.table, []);
    t.ok(machine.native.isStopped);
  });
  await t.test('the kernel ends it at once', async (t) => {
    const machine = new Machine(t, { isRoot: false });
    const refused = t.rejects(machine.session.mount(), { code: 'mount_failed', message: /errno 19/ });
    await machine.turns();
    machine.native.emit(ENDED);
    await refused;
    t.ok(machine.native.isStopped);
  });
  await t.test('it is not in the mount table', async (t) => {
    const machine = new Machine(t);
    const refused = t.rejects(machine.session.mount(), { code: 'mount_failed', message: /does not appear/ });
    await machine.turns();
    machine.native.emit(NEGOTIATED);
    await refused;
    t.ok(machine.native.isStopped);
  });
});

t.test('what cannot be mounted on is refused before anything is asked of the addon', async (t) => {
  const machine = new Machine(t);
  writeFileSync(join(machine.mountpoint, 'file'), '');
  await t.rejects(machine.session.prepare(), { code: 'mountpoint_not_empty' });
  t.same(machine.addon.calls, []);
});

t.test('requests, forgets and releases reach the filesystem; outdated names reach the kernel', async (t) => {
  const machine = await new Machine(t).mounted();
  const { native, rig } = machine;
  rig.objects.put('a', 'hello');
  const found = await native.answered(native.request(1, ROOT_NODE, Buffer.from('a\0')));
  const node = 'body' in found ? Number(found.body.readBigUInt64LE(0)) : 0;
  const opened = await native.answered(native.request(14, node, packed(['u32', 0], ['u32', 0])));
  const handle = 'body' in opened ? Number(opened.body.readBigUInt64LE(0)) : 0;
  t.equal(rig.filesystem.stats().handles, 1);
  rig.objects.put('a', 'other!');
  rig.clock.advance(60_001);
  await native.answered(native.request(1, ROOT_NODE, Buffer.from('a\0')));
  t.same(native.invalidated, [[ROOT_NODE, 'a']]);
  t.equal(rig.filesystem.getAttributes(node)?.attributes.size, 5, 'the older version is known');
  native.emit(record(7, ['u64', handle], ['u64', node]));
  t.equal(rig.filesystem.stats().handles, 0);
  native.emit(record(2, ['u32', 1], ['u32', 0], ['u64', node], ['u64', 1]));
  t.equal(rig.filesystem.getAttributes(node), undefined, 'until the kernel forgot it');
  await machine.session.unmount({ force: false });
});

t.test('a read that fails is answered with its errno and logged once, unless it ended before', async (t) => {
  const machine = await new Machine(t).mounted();
  const { native, files } = machine;
  const heard: unknown[] = [];
  const listener: DirectReadListener = {
    entered: () => {},
    waiting: (read) => void heard.push(read),
    ended: (id, end) => void heard.push(id, end),
    observed: (start, end) => void heard.push(start, end),
  };
  const file = files.open(Availability.create(100), listener);
  const read = { id: 3, handle: 5, start: 10, end: 20, ageMs: 1 };
  native.emit(record(4, ['u32', file.id], ['u32', 10], ['u64', 3], ['u64', 10], ['u64', 5], ['f64', 1]));
  native.emit(record(6, ['u32', file.id], ['u32', 10], ['u64', 10]));
  native.emit(record(5, ['u32', file.id], ['u32', 3], ['u64', 3], ['f64', 2]));
  t.same(heard, [read, 10, 20, 3, { result: 'failed', waitedMs: 2 }]);
  file.fail(read, new ContentError('stale', 'replaced'));
  file.fail(read, new ContentError('deadline', 'too late'));
  t.same(native.failed, [[3, 116], [3, 5]]); // prettier-ignore
  t.match(machine.lines.slice(-2), [{ operation: 'read', handle: 5, read: 'r3' }, { level: 40 }]);
  const lines = machine.lines.length;
  native.isKernelGone = true;
  file.fail(read, new ContentError('stale', 'replaced'));
  t.equal(machine.lines.length, lines, 'nobody was told of that one');
  await machine.session.unmount({ force: false });
});

t.test('problems are said in words; events of a bug do no harm', async (t) => {
  const machine = await new Machine(t).mounted();
  const problem = (code: number, errno: number, detail: number) =>
    record(9, ['u32', code], ['u32', errno], ['u64', detail]);
  machine.native.emit(problem(1, 22, 1), problem(2, 3, 15), problem(3, 5, 9), problem(77, 0, 0));
  t.match(machine.messages(50), [/refused a reply/, /makes no sense/, /could not be read/, /without a name/]);
  machine.native.emit(problem(4, 1, 0), problem(5, 0, 12));
  t.match(machine.messages(30), [/no passthrough here/, /some were not seen/]);
  t.equal(machine.session.status().passthrough, false, 'status shows it, too');
  machine.native.emit(record(4711));
  machine.native.emit(packed(['u32', 3], ['u32', 1]));
  t.equal(machine.messages(50).length, 6);
  await machine.session.unmount({ force: false });
});

t.test('native reads are counted into the metrics, once each, every second and at status', async (t) => {
  const machine = await new Machine(t).mounted();
  const { native, metrics, session } = machine;
  const count = (reads: number, failed: number, bytes: number) => {
    native.figures.set('readsServed', reads).set('readsFailed', failed).set('bytesRead', bytes);
  };
  count(10, 2, 1000);
  await machine.advance(1000);
  t.match(metrics.totals, { reads: 12, readErrors: 2, bytesRead: 1000 });
  count(11, 2, 1500);
  native.figures.set('readRequests', 14).set('handlesCached', 3).set('handlesPassthrough', 4);
  native.figures.set('requestsWaiting', 5).set('oldestRequestMs', 6.4);
  t.match(session.status(), {
    readRequests: 14,
    handlesCached: 3,
    handlesPassthrough: 4,
    requestsWaiting: 5,
    oldestRequestMs: 6,
  });
  t.match(metrics.totals, { reads: 13, readErrors: 2, bytesRead: 1500 });
  t.ok(metrics.rates().bytesReadPerSecond > 0);
  count(12, 2, 1600);
  await session.unmount({ force: false });
  t.match(metrics.totals, { reads: 14, bytesRead: 1600 }, 'the last ones, too');
});

t.test('the ways it ends', async (t) => {
  await t.test('anybody removes the mount', async (t) => {
    const machine = await new Machine(t).mounted();
    machine.table = [];
    await machine.advance(1000);
    await machine.session.ended;
    t.ok(machine.native.isStopped);
    t.same(machine.commands, []);
    await machine.session.unmount({ force: true });
    t.same(machine.commands, [], 'nothing is left to remove');
  });
  await t.test('the kernel says so first', async (t) => {
    const machine = await new Machine(t).mounted();
    machine.table = [];
    machine.native.emit(ENDED);
    await machine.session.ended;
    t.ok(machine.native.isStopped);
  });
  await t.test('the connection is aborted: the dead mount is taken away', async (t) => {
    const machine = await new Machine(t).mounted();
    machine.native.emit(ENDED);
    await machine.turns();
    t.same(machine.commands, [], 'who aborted it may be about to remove it');
    await machine.advance(1000);
    await machine.session.ended;
    t.match(machine.commands[0], /^umount /);
    t.match(machine.messages(40), [/aborted/]);
    t.same(machine.table, []);
  });
  await t.test('by force, and the kernel keeps the mount: as the last resort it is left dead', async (t) => {
    const machine = await new Machine(t).mounted();
    machine.exitCode = 32;
    await t.rejects(machine.session.unmount({ force: false }), { code: 'unmount_failed' });
    t.notOk(machine.native.isStopped, 'a gentle one leaves it as it is');
    await t.rejects(machine.session.unmount({ force: true }), { code: 'unmount_failed' });
    await machine.session.ended;
    t.ok(machine.native.isStopped);
    t.match(machine.commands, [/^umount/, /^umount .*--lazy/, 'abort 99', /^umount .*--lazy/]);
  });
});

t.test('a rehearsed read goes through the handlers without a kernel, and leaves nothing open', async (t) => {
  const machine = new Machine(t);
  const { session, rig, addon, lines } = machine;
  rig.objects.put('a', Buffer.from('hello'));
  await session.rehearse('a');
  await session.rehearse('a');
  t.match(rig.filesystem.stats(), { handles: 0 });
  t.same(addon.calls, [], 'nothing is mounted');
  t.same(lines, []);
  await t.rejects(session.rehearse('missing'));
  t.match(rig.filesystem.stats(), { handles: 0 });
});
