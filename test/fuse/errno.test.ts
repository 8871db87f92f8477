import { constants } from 'node:os';
import t from 'tap';
import type { FilesystemErrorCode } from '../../src/filesystem/errors.js';
import { errnoOf } from '../../src/fuse/errno.js';

/** Linux, macOS; from their errno.h. */
const EXPECTED: Record<FilesystemErrorCode, readonly [linux: number, darwin: number]> = {
  not_found: [2, 2],
  not_directory: [20, 20],
  is_directory: [21, 21],
  name_too_long: [36, 63],
  access_denied: [13, 13],
  read_only: [30, 30],
  stale: [116, 70],
  bad_handle: [9, 9],
  invalid_argument: [22, 22],
  too_many_open_files: [23, 23],
  no_space: [28, 28],
  disk_failed: [5, 5],
  corrupt: [5, 5],
  unreachable: [5, 5],
  interrupted: [4, 4],
  unsupported: [95, 45],
};

t.test('every code has its errno on both platforms', async (t) => {
  for (const [code, [linux, darwin]] of Object.entries(EXPECTED)) {
    t.equal(errnoOf(code as FilesystemErrorCode, 'linux'), linux, `${code} on Linux`);
    t.equal(errnoOf(code as FilesystemErrorCode, 'darwin'), darwin, `${code} on macOS`);
  }
});

t.test(
  "the numbers are this platform's own",
  { skip: process.platform !== 'linux' && 'Linux only' },
  async (t) => {
    const { ESTALE, EROFS, ENAMETOOLONG, ENOTSUP, ENFILE } = constants.errno;
    t.equal(errnoOf('stale', 'linux'), ESTALE);
    t.equal(errnoOf('read_only', 'linux'), EROFS);
    t.equal(errnoOf('name_too_long', 'linux'), ENAMETOOLONG);
    t.equal(errnoOf('unsupported', 'linux'), ENOTSUP);
    t.equal(errnoOf('too_many_open_files', 'linux'), ENFILE);
  },
);
