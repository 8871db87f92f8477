/** Where and with what a benchmark ran: the machine, the versions of all programs, for docs/PERFORMANCE.md. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { sluiceVersion } from '../src/runtime/version.js';
import { systemClock } from '../src/runtime/clock.js';
import { run } from '../test/support/processes.js';
import type { Circumstances } from './bench-document.js';
import { REASONS } from './bench-reasons.js';
import type { Scale } from './bench-scale.js';
import { GIB, MIB } from './bench-support.js';
import { RCLONE, S3FS, SLUICE, type SystemName } from './bench-world.js';

/** Undefined where it is not installed. */
async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(program, ['--version']);
    return /v?(\d+\.[\d.]*\d)/i.exec(stdout.toString() + stderr)?.[1];
  } catch {
    return undefined;
  }
}

/** RIVALS=none leaves them out, to see sooner what a change of Sluice does. */
export async function installedRivals(): Promise<SystemName[]> {
  if (process.env['RIVALS'] === 'none') return [];
  const rivals = [S3FS, RCLONE] as const;
  const versions = await Promise.all(rivals.map(versionOf));
  return rivals.filter((_, at) => versions[at] !== undefined);
}

export async function circumstances(scale: Scale): Promise<Circumstances> {
  const processors = cpus();
  return {
    date: new Date(systemClock.wallTimeMs()).toISOString().slice(0, 10),
    runs: scale.runs,
    cores: processors.length,
    processor: processors[0]?.model.trim() ?? readFileSync('/proc/sys/kernel/arch', 'utf8').trim(),
    kernel: release(),
    memoryGib: Math.round(totalmem() / GIB),
    roundTripMs: scale.roundTripMs,
    connectionMib: scale.connectionBytesPerSecond / MIB,
    versions: {
      [SLUICE]: sluiceVersion(),
      'Node.js': process.versions.node,
      curl: await versionOf('curl'),
      [S3FS]: await versionOf('s3fs'),
      [RCLONE]: await versionOf('rclone'),
    },
    reasons: REASONS,
  };
}
