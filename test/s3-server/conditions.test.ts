import t from 'tap';
import {
  checkCopyConditions,
  checkReadConditions,
  checkWriteConditions,
  httpDate,
  matchesEtag,
  parseRange,
  type ReadConditions,
} from '../../src/s3-server/conditions.js';
import { S3Error } from '../../src/s3-server/errors.js';

const modifiedMs = Date.UTC(2024, 0, 2, 3, 4, 5, 678);
const current = { etag: 'abc', lastModifiedMs: modifiedMs };
const [before, same, after] = [-1000, 0, 1000].map((ms) => httpDate(modifiedMs + ms));

function outcome(check: () => void): string {
  try {
    check();
  } catch (error) {
    return error instanceof S3Error ? error.code : String(error);
  }
  return 'goes on';
}

t.test('reads: which condition decides', async (t) => {
  const read = (conditions: ReadConditions) => outcome(() => checkReadConditions(conditions, current));
  t.equal(read({}), 'goes on');
  t.equal(read({ ifMatch: '"abc"' }), 'goes on');
  t.equal(read({ ifMatch: '"x", "abc"' }), 'goes on');
  t.equal(read({ ifMatch: '"x"' }), 'PreconditionFailed');
  t.equal(read({ ifUnmodifiedSince: before }), 'PreconditionFailed');
  t.equal(read({ ifUnmodifiedSince: same }), 'goes on', 'the fraction of a second does not count');
  t.equal(
    read({ ifMatch: '"abc"', ifUnmodifiedSince: before }),
    'goes on',
    'If-Match beats If-Unmodified-Since',
  );
  t.equal(read({ ifNoneMatch: '"abc"' }), 'NotModified');
  t.equal(read({ ifNoneMatch: '*' }), 'NotModified');
  t.equal(
    read({ ifNoneMatch: '"x"', ifModifiedSince: after }),
    'goes on',
    'If-None-Match beats If-Modified-Since',
  );
  t.equal(read({ ifModifiedSince: before }), 'goes on');
  t.equal(read({ ifModifiedSince: same }), 'NotModified');
  t.equal(read({ ifModifiedSince: 'no date' }), 'goes on', 'an invalid date is ignored');
});

t.test('copies: every failed condition is a 412', async (t) => {
  const copy = (conditions: ReadConditions) => outcome(() => checkCopyConditions(conditions, current));
  t.equal(copy({ ifMatch: 'abc' }), 'goes on');
  t.equal(copy({ ifMatch: 'x' }), 'PreconditionFailed');
  t.equal(copy({ ifNoneMatch: 'abc' }), 'PreconditionFailed');
  t.equal(copy({ ifNoneMatch: 'x' }), 'goes on');
  t.equal(copy({ ifModifiedSince: after }), 'PreconditionFailed');
  t.equal(copy({ ifUnmodifiedSince: before }), 'PreconditionFailed');
  t.equal(copy({ ifUnmodifiedSince: after }), 'goes on');
});

t.test('writes', async (t) => {
  const write = (conditions: ReadConditions, exists: boolean) =>
    outcome(() => checkWriteConditions(conditions, exists ? current : undefined));
  t.equal(write({ ifNoneMatch: '*' }, false), 'goes on');
  t.equal(write({ ifNoneMatch: '*' }, true), 'PreconditionFailed');
  t.equal(write({ ifNoneMatch: '"abc"' }, true), 'NotImplemented');
  t.equal(write({ ifMatch: '"abc"' }, true), 'goes on');
  t.equal(write({ ifMatch: '"x"' }, true), 'PreconditionFailed');
  t.equal(write({ ifMatch: '"abc"' }, false), 'NoSuchKey');
});

t.test('entity tags match quoted, unquoted and weak', async (t) => {
  for (const list of ['"abc"', 'abc', 'W/"abc"', '*', '"x" , "abc"']) t.ok(matchesEtag(list, 'abc'), list);
  for (const list of ['"ab"', '', '"abc']) t.notOk(matchesEtag(list, 'abc'), list);
});

t.test('ranges', async (t) => {
  t.same(parseRange('bytes=0-0', 10), { start: 0, end: 1 });
  t.same(parseRange('bytes=3-', 10), { start: 3, end: 10 });
  t.same(parseRange('bytes=-4', 10), { start: 6, end: 10 });
  t.same(parseRange('bytes=-40', 10), { start: 0, end: 10 });
  t.same(parseRange('bytes=8-99', 10), { start: 8, end: 10 });
  for (const ignored of [
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=5-3',
    'bytes=0-1,3-4',
    'items=0-1',
    'bytes=a-b',
  ])
    t.equal(parseRange(ignored, 10), undefined, `${ignored} is ignored`);
  for (const outside of ['bytes=10-', 'bytes=10-20', 'bytes=-0'])
    t.throws(() => parseRange(outside, 10), { code: 'InvalidRange' }, outside);
  t.throws(() => parseRange('bytes=0-0', 0), { code: 'InvalidRange' }, 'of nothing');
});
