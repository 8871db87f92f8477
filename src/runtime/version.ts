/** Sluice's version, from package.json beside the build. Read once, when first asked for. */
import { readFileSync } from 'node:fs';

let version: string | undefined;

export function sluiceVersion(): string {
  // From dist/src/runtime/ up to the package.
  const packageFile = new URL('../../../package.json', import.meta.url);
  version ??= (JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version;
  return version;
}
