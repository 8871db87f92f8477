/** The table of what failures mean: codes, statuses and network errors, never texts. */
import t from 'tap';
import { AbortedWait } from '../../src/object-store/abort.js';
import type { ObjectStoreErrorCode } from '../../src/object-store/errors.js';
import { explainFailure } from '../../src/object-store/s3-errors.js';
import { NonsenseError } from '../../src/object-store/part-response.js';
import { CredentialsError } from '../../src/object-store/sdk-client.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const CALL = { operation: 'list', bucket: 'b', endpoint: 'aws:us-east-1', region: 'us-east-1' };
const clock = new SimulatedClock({ wallTimeMs: Date.UTC(2024, 0, 1) });

const explain = (thrown: unknown) => explainFailure(thrown, CALL, clock);

function answer(status: number, name = 'Unknown', headers: Readonly<Record<string, string>> = {}): Error {
  const $metadata = { httpStatusCode: status, requestId: 'r1' };
  return Object.assign(new Error('text'), { name, $metadata, $response: { statusCode: status, headers } });
}

const network = (code: string) => Object.assign(new Error('text'), { code });

const TABLE: readonly (readonly [string, unknown, ObjectStoreErrorCode, transient: boolean])[] = [
  ['403 InvalidAccessKeyId', answer(403, 'InvalidAccessKeyId'), 'credentials_rejected', false],
  ['403 SignatureDoesNotMatch', answer(403, 'SignatureDoesNotMatch'), 'credentials_rejected', false],
  ['400 ExpiredToken', answer(400, 'ExpiredToken'), 'credentials_rejected', false],
  ['400 InvalidToken', answer(400, 'InvalidToken'), 'credentials_rejected', false],
  ['403 RequestTimeTooSkewed', answer(403, 'RequestTimeTooSkewed'), 'clock_skew', false],
  ['301 PermanentRedirect', answer(301, 'PermanentRedirect'), 'wrong_region', false],
  ['400 AuthorizationHeaderMalformed', answer(400, 'AuthorizationHeaderMalformed'), 'wrong_region', false],
  ['307', answer(307), 'wrong_region', false],
  ['404 NoSuchBucket', answer(404, 'NoSuchBucket'), 'no_such_bucket', false],
  ['404 NoSuchKey', answer(404, 'NoSuchKey'), 'invalid_request', false],
  ['403 InvalidObjectState', answer(403, 'InvalidObjectState'), 'archived', false],
  ['403 without a document', answer(403), 'access_denied', false],
  ['401', answer(401), 'access_denied', false],
  ['412', answer(412), 'precondition_failed', false],
  ['503 SlowDown', answer(503, 'SlowDown'), 'throttled', true],
  ['503', answer(503), 'throttled', true],
  ['429', answer(429), 'throttled', true],
  ['500', answer(500), 'server_error', true],
  ['501', answer(501, 'NotImplemented'), 'invalid_request', false],
  ['504', answer(504), 'server_error', true],
  ['400 RequestTimeout', answer(400, 'RequestTimeout'), 'server_error', true],
  ['200 that is no XML', answer(200, 'SyntaxError'), 'server_error', true],
  ['400 InvalidArgument', answer(400, 'InvalidArgument'), 'invalid_request', false],
  ['a code of JavaScript objects', answer(418, 'constructor'), 'invalid_request', false],
  ['a request that could not be made', new URIError('text'), 'invalid_request', false],
  ['a value that is no error', 'text', 'invalid_request', false],
  ['connection refused', network('ECONNREFUSED'), 'unreachable', true],
  ['connection reset', network('ECONNRESET'), 'unreachable', true],
  ['name not found', network('ENOTFOUND'), 'unreachable', true],
  ['all addresses refused', Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }), 'unreachable', true],
  ['a timeout', Object.assign(new Error('text'), { name: 'TimeoutError' }), 'unreachable', true],
  ['an authority not trusted', network('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'unreachable', false],
  ['a certificate that expired', network('CERT_HAS_EXPIRED'), 'unreachable', false],
  ['no HTTP', network('HPE_INVALID_CONSTANT'), 'server_error', true],
  ['nonsense', new NonsenseError('text'), 'server_error', true],
  ['no credentials', new CredentialsError('text', { cause: new Error('text') }), 'credentials_missing', false],
  ['no way to the credentials', new CredentialsError('text', { cause: network('ECONNREFUSED') }), 'unreachable', true],
  ['an abort of ours', new AbortedWait(), 'aborted', false],
  ['an abort of the SDK', Object.assign(new Error('text'), { name: 'AbortError' }), 'aborted', false],
]; // prettier-ignore

for (const [title, thrown, code, transient] of TABLE) {
  t.test(`${title} is ${code}${transient ? ', to be tried again' : ''}`, async (t) => {
    const failure = explain(thrown);
    t.same([failure.error.code, failure.transient], [code, transient]);
    t.match(failure.error.facts, CALL);
    t.notMatch(failure.error.message, /undefined|\n/);
  });
}

t.test('a server names its request, the region, and when to come back', async (t) => {
  const failure = explain(
    answer(503, 'SlowDown', { 'retry-after': '3', 'x-amz-bucket-region': 'eu-west-1' }),
  );
  t.match(failure, { retryAfterMs: 3000, bucketRegion: 'eu-west-1' });
  t.match(failure.error.facts, { httpStatus: 503, serverCode: 'SlowDown', requestId: 'r1' });
  const named = Object.assign(answer(400, 'AuthorizationHeaderMalformed'), { Region: 'ap-south-1' });
  t.equal(explain(named).bucketRegion, 'ap-south-1');
});

t.test('Retry-After is seconds or a date; anything else is ignored', async (t) => {
  const after = (text: string) => explain(answer(503, 'SlowDown', { 'retry-after': text })).retryAfterMs;
  t.equal(after('0'), 0);
  t.equal(after('120'), 120_000);
  t.equal(after('Mon, 01 Jan 2024 00:00:30 GMT'), 30_000);
  t.equal(after('Sun, 31 Dec 2023 23:00:00 GMT'), 0, 'in the past');
  t.equal(after('soon'), undefined);
});

t.test('a key with control characters stays on one line of a message', async (t) => {
  const { error } = explainFailure(answer(403), { ...CALL, key: 'a\nb\u001b[2J' }, clock);
  t.notOk(error.message.includes('\n') || error.message.includes('\u001b'));
});
