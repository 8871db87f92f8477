import * as fc from 'fast-check';
import t from 'tap';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMode,
  parseDuration,
  parseMode,
  parseSize,
} from '../../src/runtime/units.js';

t.test('sizes are read as GNU tools do: K and KiB in 1024, KB in 1000, a bare number in bytes', (t) => {
  const known: [string, number | undefined][] = [
    ['0', 0],
    ['4096', 4096],
    ['20GiB', 20 * 1024 ** 3],
    ['512MiB', 512 * 1024 ** 2],
    ['1.5G', 1.5 * 1024 ** 3],
    ['10MB', 10_000_000],
    ['64 KiB', 65536],
    ['64kib', 65536],
    ['7B', 7],
    ['', undefined],
    ['GiB', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['10 parsecs', undefined],
    ['1..5G', undefined],
    ['9000P', undefined],
  ];
  for (const [text, bytes] of known) t.equal(parseSize(text), bytes, JSON.stringify(text));
  t.end();
});

t.test('durations are read with their unit, and in seconds without one', (t) => {
  const known: [string, number | undefined][] = [
    ['0', 0],
    ['60s', 60_000],
    ['500ms', 500],
    ['2m', 120_000],
    ['1.5h', 5_400_000],
    ['5', 5000],
    ['0.25s', 250],
    ['1d', 86_400_000],
    ['', undefined],
    ['s', undefined],
    ['1w', undefined],
    ['-1s', undefined],
    ['1m30s', undefined],
  ];
  for (const [text, ms] of known) t.equal(parseDuration(text), ms, JSON.stringify(text));
  t.end();
});

t.test('every whole number of a unit is that many units', (t) => {
  const sizes = { K: 1024, MiB: 1024 ** 2, GB: 1e9 } as const;
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.constantFrom('K', 'MiB', 'GB'), (count, unit) => {
      t.equal(parseSize(`${count}${unit}`), count * sizes[unit]);
    }),
    { numRuns: 50 },
  );
  fc.assert(
    fc.property(fc.nat(100_000_000), (ms) => t.equal(parseDuration(`${ms}ms`), ms)),
    { numRuns: 50 },
  );
  t.end();
});

t.test('permission bits are octal, and read back as they are written', (t) => {
  t.equal(parseMode('0444'), 0o444);
  t.equal(parseMode('755'), 0o755);
  t.equal(parseMode('0o640'), 0o640);
  for (const wrong of ['', '8', '0999', 'rwx', '77777', '-1']) t.equal(parseMode(wrong), undefined, wrong);
  fc.assert(
    fc.property(fc.nat(0o7777), (mode) => t.equal(parseMode(formatMode(mode)), mode)),
    { numRuns: 50 },
  );
  t.end();
});

t.test('bytes are shown in three digits, and never as 1000 of a unit', (t) => {
  t.equal(formatBytes(0), '0 B');
  t.equal(formatBytes(512), '512 B');
  t.equal(formatBytes(1023), '1.00 KiB');
  t.equal(formatBytes(1536), '1.50 KiB');
  t.equal(formatBytes(64 * 1024), '64.0 KiB');
  t.equal(formatBytes(20 * 1024 ** 3), '20.0 GiB');
  t.equal(formatBytes(999.7 * 1024 ** 2), '0.98 GiB');
  fc.assert(
    fc.property(
      fc.maxSafeNat().map((bits) => Math.floor(bits / 2)),
      (bytes) => {
        const [value, unit] = formatBytes(bytes).split(' ');
        t.ok(Number(value) < 1000, `${bytes} bytes`);
        const read = parseSize(`${value}${unit}`) ?? NaN;
        t.ok(Math.abs(read - bytes) <= bytes * 0.01, `${bytes} reads back as ${read}`);
      },
    ),
  );
  t.end();
});

t.test('durations are shown with the two units that matter', (t) => {
  t.equal(formatDuration(0), '0 ms');
  t.equal(formatDuration(850), '850 ms');
  t.equal(formatDuration(999.6), '1.00 s');
  t.equal(formatDuration(12_340), '12.3 s');
  t.equal(formatDuration(59_960), '1 m 00 s');
  t.equal(formatDuration(245_000), '4 m 05 s');
  t.equal(formatDuration(3 * 3_600_000 + 120_000), '3 h 02 m');
  t.equal(formatDuration(2 * 86_400_000 + 4 * 3_600_000), '2 d 04 h');
  t.end();
});

t.test('counts are written with their noun, one as one', (t) => {
  t.same(
    [0, 1, 2].map((count) => formatCount(count, 'file')),
    ['0 files', '1 file', '2 files'],
  );
  t.end();
});
