/** Mounts of each driver for tests: a child process serves, the test uses the mount as any program does. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { mountTableReader } from '../../src/fuse/mount-table.js';
import { removeMount } from '../../src/fuse/unmount.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import type { DriverName } from '../support/drivers.js';
import { AnsweringChild } from '../support/child-process.js';
import type { ChildAnswer, ChildCommand, ChildConfig, ChildObject } from './fuse-child.js';

const CHILD = fileURLToPath(new URL('fuse-child.js', import.meta.url));
export const HOUR_MS = 3_600_000;
/** Node has no name for it. */
export const ESTALE = { message: /^Unknown system error -116/ };

export type Child = AnsweringChild<ChildCommand, ChildAnswer>;

export interface Mounted {
  readonly child: Child;
  readonly mountpoint: string;
  readonly path: (name: string) => string;
}

/** A directory to mount on; whatever is mounted there at the end goes. */
export async function emptyDirectory(t: Test): Promise<string> {
  const directory = await fs.realpath(await fs.mkdtemp(join(tmpdir(), 'sluice-fuse-')));
  t.teardown(async () => {
    await removeMount(directory, 'force');
    await fs.rm(directory, { recursive: true });
  });
  return directory;
}

/** Starts a child that mounts on `mountpoint`; `answer` is what became of it. */
export async function startChild(
  t: Test,
  driver: DriverName,
  mountpoint: string,
  config: Partial<ChildConfig> = {},
) {
  const all: ChildConfig = {
    driver,
    mountpoint,
    source: 's3://bucket',
    metadataTtlMs: HOUR_MS,
    objects: [],
    ...config,
  };
  const child: Child = new AnsweringChild(CHILD, [JSON.stringify(all)]);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await child.exit;
  });
  return { child, answer: await child.next() };
}

export async function mounted(
  t: Test,
  driver: DriverName,
  config: Partial<ChildConfig> = {},
): Promise<Mounted> {
  const mountpoint = await emptyDirectory(t);
  const { child, answer } = await startChild(t, driver, mountpoint, config);
  t.same(answer, {}, 'mounts');
  return { child, mountpoint, path: (name) => join(mountpoint, name) };
}

export function bytesOf({ seed, size }: ChildObject): Uint8Array {
  return fillPattern(new Uint8Array(size), seed, 0);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** close(2) reports that there is nobody left to flush to. */
export async function closeAfterUnmount(handle: fs.FileHandle): Promise<void> {
  await handle.close().catch(() => {});
}

export async function mountEntry(mountpoint: string) {
  return (await mountTableReader('linux')()).find((entry) => entry.mountpoint === mountpoint);
}
