import t from 'tap';
import { ContentError } from '../../src/file/content.js';
import type { ContentErrorCode } from '../../src/file/content.js';
import { FilesystemError } from '../../src/filesystem/errors.js';
import type { FilesystemErrorCode } from '../../src/filesystem/errors.js';
import { toFilesystemError } from '../../src/filesystem/translate-errors.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { ObjectStoreErrorCode } from '../../src/object-store/errors.js';

t.test('every failure of a content has a code', async (t) => {
  const expected: Record<ContentErrorCode, FilesystemErrorCode> = {
    stale: 'stale',
    denied: 'access_denied',
    deadline: 'unreachable',
    no_space: 'no_space',
    disk_failed: 'disk_failed',
    corrupt: 'corrupt',
    aborted: 'interrupted',
    closed: 'interrupted',
  };
  for (const [code, translated] of Object.entries(expected)) {
    const cause = new ContentError(code as ContentErrorCode, 'why');
    t.match(toFilesystemError(cause), { name: 'FilesystemError', code: translated, message: 'why', cause });
  }
});

t.test('every failure of an object store has a code, and none says that a name does not exist', async (t) => {
  const expected: Record<ObjectStoreErrorCode, FilesystemErrorCode> = {
    credentials_missing: 'access_denied',
    credentials_rejected: 'access_denied',
    access_denied: 'access_denied',
    archived: 'access_denied',
    clock_skew: 'access_denied',
    precondition_failed: 'stale',
    wrong_region: 'unreachable',
    no_such_bucket: 'unreachable',
    throttled: 'unreachable',
    unreachable: 'unreachable',
    invalid_request: 'unreachable',
    server_error: 'unreachable',
    aborted: 'interrupted',
  };
  for (const [code, translated] of Object.entries(expected)) {
    const cause = new ObjectStoreError(code as ObjectStoreErrorCode, 'why', { operation: 'head' });
    t.match(toFilesystemError(cause), { name: 'FilesystemError', code: translated, message: 'why', cause });
  }
});

t.test('what is translated already, or a bug, stays what it is', async (t) => {
  const own = new FilesystemError('not_found', 'why');
  t.equal(toFilesystemError(own), own);
  const bug = new TypeError('bug');
  t.equal(toFilesystemError(bug), bug);
});
