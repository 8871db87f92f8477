/** The folders of the XDG base directory specification that Sluice uses, below the user's home unless set otherwise. */
import { isAbsolute, join } from 'node:path';
import type { Environment } from './option-source.js';

/** Who runs Sluice and from where; injected so that tests need neither root nor a home. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly homeDir: string;
  readonly workingDir: string;
}

export function configFileDefault(environment: Environment, user: User): string {
  return join(folder(environment['XDG_CONFIG_HOME'], user, '.config'), 'sluice', 'config.toml');
}

export function cacheDirDefault(environment: Environment, user: User): string {
  return join(folder(environment['XDG_CACHE_HOME'], user, '.cache'), 'sluice');
}

export function stateDir(environment: Environment, user: User): string {
  return join(folder(environment['XDG_STATE_HOME'], user, '.local/state'), 'sluice');
}

/** The specification has relative values ignored. */
function folder(value: string | undefined, user: User, belowHome: string): string {
  return value !== undefined && isAbsolute(value) ? value : join(user.homeDir, belowHome);
}
