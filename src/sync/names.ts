/**
 * Which files the keys of a listing become: pure. The same rules as in a mount (filesystem/keys.ts), and what a plain
 * directory adds to them: Sluice's own folder in it, and file systems that do not tell letters' cases apart.
 */
import { nameProblem } from '../filesystem/keys.js';
import type { Platform } from '../filesystem/keys.js';
import { HIDDEN_BECAUSE } from '../filesystem/hidden-keys.js';
import type { ObjectInfo } from '../object-store/object-store.js';
import { OWN_FOLDER, parentsOf } from './sync-folder.js';

/** An object that is to become the file `name`, a relative path with `/`. */
export interface WantedFile {
  readonly name: string;
  readonly info: ObjectInfo;
}

/** A key that cannot be a file here. */
export interface RefusedKey {
  readonly key: string;
  /** Half a sentence. */
  readonly reason: string;
}

export interface NamePlan {
  readonly files: readonly WantedFile[];
  /** Directories that the bucket has a marker for. */
  readonly markers: readonly string[];
  readonly refused: readonly RefusedKey[];
}

export interface NameRules {
  /** '' or ending in '/'. */
  readonly prefix: string;
  readonly platform: Platform;
  /** Whether the user wants a file of this name at all. */
  readonly isWanted: (name: string) => boolean;
}

/** @param objects all below the prefix, in the order of the listing. */
export function planNames(objects: readonly ObjectInfo[], rules: NameRules): NamePlan {
  const candidates: WantedFile[] = [];
  const refused: RefusedKey[] = [];
  const markers: string[] = [];
  const folders = new Set<string>();
  for (const info of objects) {
    const rest = info.key.slice(rules.prefix.length);
    if (rest === '') continue;
    const isMarker = rest.endsWith('/');
    const name = isMarker ? rest.slice(0, -1) : rest;
    const reason =
      problemOf(name, rules.platform) ?? (isMarker && info.size > 0 ? MARKER_WITH_BYTES : undefined);
    if (reason !== undefined) {
      if (rules.isWanted(name)) refused.push({ key: info.key, reason });
      continue;
    }
    if (!rules.isWanted(name)) continue;
    for (const parent of parentsOf(name)) folders.add(parent);
    if (isMarker) {
      folders.add(name);
      markers.push(name);
    } else candidates.push({ name, info });
  }
  return { ...apart(candidates, folders, rules.platform, refused), markers };
}

const MARKER_WITH_BYTES = 'it names a directory, but has content';

function problemOf(name: string, platform: Platform): string | undefined {
  const parts = name.split('/');
  for (const part of parts) {
    const problem = nameProblem(part, platform);
    if (problem !== undefined) return HIDDEN_BECAUSE[problem];
  }
  return parts[0]?.toLowerCase() === OWN_FOLDER ? 'the name is reserved for Sluice' : undefined;
}

/** Of two keys that would be one file the first counts, and a directory before a file. */
function apart(
  candidates: readonly WantedFile[],
  folders: ReadonlySet<string>,
  platform: Platform,
  refused: RefusedKey[],
): Pick<NamePlan, 'files' | 'refused'> {
  const taken = new Set([...folders].map((name) => folded(name, platform)));
  const files: WantedFile[] = [];
  for (const file of candidates) {
    const { name, info } = file;
    const place = folded(name, platform);
    if (folders.has(name)) refused.push({ key: info.key, reason: HIDDEN_BECAUSE.shadowed });
    else if (taken.has(place)) {
      refused.push({ key: info.key, reason: 'the file system takes its name for that of another key' });
    } else {
      taken.add(place);
      files.push(file);
    }
  }
  return { files, refused };
}

/** APFS and HFS+ take names that differ in case, or in how accents are written, for one. */
export function folded(name: string, platform: Platform): string {
  return platform === 'darwin' ? name.normalize('NFD').toLowerCase() : name;
}
