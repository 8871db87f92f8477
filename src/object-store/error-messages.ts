/**
 * What an `ObjectStoreError` says to the user, in one line: what happened, why, and what to do. The texts come from
 * codes alone; the one text quoted from outside is a credential provider's or a proxy's refusal.
 */
import { unreachable } from '../runtime/assert.js';
import type { ObjectStoreErrorCode, ObjectStoreErrorFacts } from './errors.js';

const PROVIDE_CREDENTIALS =
  'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run "aws configure", choose a profile with --profile, ' +
  'or use --no-sign-request for a public bucket';

export function messageFor(code: ObjectStoreErrorCode, facts: ObjectStoreErrorFacts, cause?: Error): string {
  const { operation, bucket } = facts;
  const answer = answerOf(facts);
  switch (code) {
    case 'credentials_missing':
      return `no usable AWS credentials${reasonOf(cause)}: ${PROVIDE_CREDENTIALS}`;
    case 'credentials_rejected':
      return `${serverOf(facts)} rejected the credentials${answer}: ${rejectionAdvice(facts.serverCode)}`;
    case 'clock_skew':
      return `this machine's clock differs too much from that of ${serverOf(facts)}${answer}: set the clock (NTP)`;
    case 'wrong_region':
      return `bucket ${bucket} is not served in region ${facts.region}${answer}: give its region with --region`;
    case 'no_such_bucket':
      return `there is no bucket ${bucket} at ${serverOf(facts)}: check its name and --endpoint-url`;
    case 'access_denied':
      return `access to ${objectOf(facts)} is denied${answer}: ${permissionAdvice(facts)}`;
    case 'archived':
      return `${objectOf(facts)} is archived: restore it first (aws s3api restore-object)`;
    case 'precondition_failed':
      return `${objectOf(facts)} was changed meanwhile${answer}`;
    case 'throttled':
      return `${serverOf(facts)} asks to slow down${answer}: try again later, or lower --connections-max`;
    case 'unreachable':
      return unreachableMessage(facts, cause);
    case 'invalid_request':
      return `${serverOf(facts)} refuses the ${operation} request for ${objectOf(facts)}${answer}${reasonOf(cause)}: ${requestAdvice(facts)}`;
    case 'server_error':
      return `${serverOf(facts)} failed to answer ${operation} for ${objectOf(facts)}${answer}${reasonOf(cause)}: is it an S3 server, and is it well?`;
    case 'aborted':
      return `${operation} was aborted`;
    default:
      return unreachable(code);
  }
}

function serverOf({ endpoint = 'the server' }: ObjectStoreErrorFacts): string {
  return endpoint.startsWith('aws:') ? `S3 in ${endpoint.slice('aws:'.length)}` : endpoint;
}

function objectOf({ bucket, key }: ObjectStoreErrorFacts): string {
  return key === undefined ? `bucket ${bucket}` : `s3://${bucket}/${oneLine(key)}`;
}

function answerOf({ httpStatus, serverCode }: ObjectStoreErrorFacts): string {
  return httpStatus === undefined ? '' : ` (${[httpStatus, serverCode].filter(Boolean).join(' ')})`;
}

function isOfObject({ operation }: ObjectStoreErrorFacts): boolean {
  return operation === 'head' || operation === 'get';
}

function rejectionAdvice(serverCode: string | undefined): string {
  if (serverCode === 'SignatureDoesNotMatch')
    return 'the secret does not belong to the key; check AWS_SECRET_ACCESS_KEY or --profile';
  if (serverCode?.startsWith('Expired')) return 'they have expired; get new ones (for SSO: aws sso login)';
  if (serverCode === 'InvalidToken')
    return 'the session token does not belong to the key; check AWS_SESSION_TOKEN';
  return 'the key is not known there; check AWS_ACCESS_KEY_ID, --profile and --endpoint-url';
}

function permissionAdvice(facts: ObjectStoreErrorFacts): string {
  const permission = isOfObject(facts) ? 's3:GetObject on the object' : 's3:ListBucket on the bucket';
  const advice = `allow ${permission}, use other credentials (--profile), or leave out --no-sign-request`;
  if (!isOfObject(facts) || !facts.sseCustomerKey) return advice;
  return `it may be encrypted with another key than that of --sse-customer-key-file; if not, ${advice}`;
}

function requestAdvice(facts: ObjectStoreErrorFacts): string {
  const { operation, httpStatus, serverCode } = facts;
  if (isOfObject(facts) && httpStatus === 400) {
    const encryption = facts.sseCustomerKey
      ? 'it may not be encrypted with a customer-provided key (SSE-C): leave out --sse-customer-key-file then'
      : 'it may be encrypted with a customer-provided key (SSE-C): give the key with --sse-customer-key-file';
    if (serverCode === 'InvalidRequest') return encryption;
    // The answer to a HEAD has no body that could name the reason.
    if (operation === 'head') return `expired credentials are the usual reason, or ${encryption}`;
  }
  return 'check --endpoint-url, --region and the name of the bucket';
}

function unreachableMessage(facts: ObjectStoreErrorFacts, cause: Error | undefined): string {
  const server = serverOf(facts);
  const code = codeOf(cause);
  const reason = code === '' ? '' : ` (${code})`;
  if (cause?.name === 'ProxyRefusedError') return `${cause.message}: check HTTPS_PROXY and NO_PROXY`;
  if (/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_UNTRUSTED)/.test(code)) {
    return `the certificate of ${server} is not trusted${reason}: give the authority that signed it with --ca-bundle FILE or AWS_CA_BUNDLE`;
  }
  if (/^(CERT_|ERR_TLS_CERT_|HOSTNAME_MISMATCH)/.test(code)) {
    return `the certificate of ${server} is not valid${reason}: correct it, or check --endpoint-url and this machine's clock`;
  }
  if (/^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(code)) {
    return `no TLS connection to ${server}${reason}: check https:// or http:// in --endpoint-url`;
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return `the host name of ${server} is not known${reason}: check --endpoint-url, --region, --force-path-style and the network`;
  }
  if (code === 'ECONNREFUSED') {
    return `nothing listens at ${server}${reason}: check --endpoint-url and that the server runs`;
  }
  return `no answer from ${server}${reason}: check --endpoint-url, the network, HTTPS_PROXY and NO_PROXY`;
}

function codeOf(cause: Error | undefined): string {
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** The cause in its own words; those of a failed credential command repeat the command, which may hold a secret. */
function reasonOf(cause: Error | undefined): string {
  if (!cause) return '';
  return cause.message.includes('Command failed')
    ? ' (credential_process failed)'
    : ` (${oneLine(cause.message)})`;
}

/** Control characters would break the one-line promise, and a terminal. */
function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f]+/g, ' ');
}
