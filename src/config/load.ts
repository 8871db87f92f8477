/**
 * From what the user gave to a MountConfig, or to what of it a command without a mount needs: the entry point of
 * config/, called by the commands. Relative paths are made absolute here, because the daemon does not stay in the user's
 * working directory.
 */
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { mountpointId } from '../observability/status-socket.js';
import { parseBucketUrl } from './bucket-url.js';
import type { BucketUrl } from './bucket-url.js';
import { ConfigError } from './config-error.js';
import { refuseContradictions, refuseFilesInMount } from './contradictions.js';
import type { MountConfig, TransferConfig } from './mount-config.js';
import { resolveMountpoint } from './mountpoint.js';
import type { Environment } from './option-source.js';
import { flagOf } from './option-spec.js';
import type { OptionName, OptionValues } from './option-values.js';
import { resolveOptions } from './resolve.js';
import type { Flags } from './resolve.js';
import { cacheDirDefault, stateDir } from './user-folders.js';
import type { User } from './user-folders.js';

export interface MountRequest {
  /** As written: `s3://BUCKET[/PREFIX]`. */
  readonly source: string;
  readonly mountpoint: string;
  readonly flags: Flags;
  readonly environment: Environment;
  readonly user: User;
}

export interface LoadedConfig {
  readonly config: MountConfig;
  readonly foreground: boolean;
}

/** For a command that fetches objects without mounting them. */
export interface TransferRequest extends BucketUrl {
  readonly flags: Flags;
  readonly environment: Environment;
  readonly user: User;
}

export interface LoadedTransferConfig {
  readonly config: TransferConfig;
  /** The options that somebody set, whatever to. */
  readonly given: ReadonlySet<OptionName>;
}

/** Ten of the longest round trips (0.3 s), and a reader that meets a stall still goes on within 5 s. */
const STALL_TIMEOUT_DEFAULT_MS = 3000;

/** @throws ConfigError with one line for the user. */
export function loadMountConfig(request: MountRequest): LoadedConfig {
  const { flags, environment, user } = request;
  const { bucket, prefix } = parseBucketUrl(request.source);
  const mountpoint = resolveMountpoint(request.mountpoint, user.workingDir);
  const options = resolveOptions(flags, environment, user);
  refuseContradictions(options);
  const { values } = options;
  const config: MountConfig = {
    bucket,
    prefix,
    mountpoint,
    ...transferOf(values, environment, user),
    ...filesystemOf(values, user),
    ...logOf(values, values.foreground ? undefined : logFileDefault(mountpoint, environment, user), user),
  };
  refuseFilesInMount(config);
  requireFiles(config);
  return { config, foreground: values.foreground };
}

/** The options are those of a mount, without those that only a mount has. @throws ConfigError */
export function loadTransferConfig(request: TransferRequest): LoadedTransferConfig {
  const { bucket, prefix, flags, environment, user } = request;
  const options = resolveOptions(flags, environment, user);
  refuseContradictions(options);
  const { values, origins } = options;
  const config: TransferConfig = {
    bucket,
    prefix,
    ...transferOf(values, environment, user),
    ...logOf(values, undefined, user),
  };
  requireFiles(config);
  return { config, given: new Set(origins.keys()) };
}

function transferOf(values: OptionValues, environment: Environment, user: User) {
  const caBundle = values['ca-bundle'];
  const keyFile = values['sse-customer-key-file'];
  return {
    endpointUrl: values['endpoint-url'],
    region: values.region,
    profile: values.profile,
    noSignRequest: values['no-sign-request'],
    forcePathStyle: values['force-path-style'],
    caBundle: caBundle === undefined ? undefined : resolve(user.workingDir, caBundle),
    requesterPays: values['requester-pays'],
    sseCustomerKeyFile: keyFile === undefined ? undefined : resolve(user.workingDir, keyFile),
    connectionsMax: values['connections-max'],
    transferThreads: values['transfer-threads'],
    idleTimeoutMs: values['connection-idle-timeout'],
    stallTimeoutMs:
      values['stall-timeout'] ?? Math.min(STALL_TIMEOUT_DEFAULT_MS, values['read-deadline'] / 2),
    readDeadlineMs: values['read-deadline'],
    partBytesMax: values['part-size-max'],
    prefetchBytesMax: values['prefetch-max'],
    hedge: values.hedge === 'on',
    cacheDir: resolve(user.workingDir, values['cache-dir'] ?? cacheDirDefault(environment, user)),
    cacheBytesMax: values['cache-bytes-max'],
    cacheFreeBytesMin: values['cache-free-min'],
    verify: values.verify,
  };
}

function filesystemOf(values: OptionValues, user: User) {
  return {
    driver: values.driver,
    fuseThreads: values['fuse-threads'],
    passthrough: values.passthrough,
    allowOther: values['allow-other'] ?? user.uid === 0,
    uid: values.uid ?? user.uid,
    gid: values.gid ?? user.gid,
    fileMode: values['file-mode'],
    dirMode: values['dir-mode'],
    metadataTtlMs: values['metadata-ttl'],
    traceReads: values['trace-reads'],
  };
}

function logOf(values: OptionValues, fileDefault: string | undefined, user: User) {
  const logFile = values['log-file'];
  return {
    logFile: logFile === undefined ? fileDefault : resolve(user.workingDir, logFile),
    logLevel: values['log-level'],
  };
}

function logFileDefault(mountpoint: string, environment: Environment, user: User): string {
  return join(stateDir(environment, user), logFileName(mountpoint));
}

/** Recognisable by eye, and by the id different for `/a/b` and `/a_b`; two mounts must not share a rotating file. */
function logFileName(mountpoint: string): string {
  const words = mountpoint.replaceAll(/[^A-Za-z0-9.-]+/g, '_').replace(/^_/, '');
  return `${words.slice(-80)}-${mountpointId(mountpoint).slice(0, 8)}.log`;
}

function requireFiles({ caBundle, sseCustomerKeyFile }: TransferConfig): void {
  requireReadable('ca-bundle', caBundle);
  requireReadable('sse-customer-key-file', sseCustomerKeyFile);
}

function requireReadable(name: OptionName, file: string | undefined): void {
  if (file === undefined) return;
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(`${flagOf(name)}: expected a file that can be read, got ${file} (${reason})`);
  }
}

/** The user this process runs as. */
export function currentUser(): User {
  // Both are missing only on Windows, which Sluice does not run on.
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  return { uid, gid, homeDir: homedir(), workingDir: process.cwd() };
}
