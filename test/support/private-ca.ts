/** A certificate authority of its own and a server certificate for 127.0.0.1 and some names, by the openssl command. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface PrivateCa {
  /** Path of the authority's certificate, for --ca-bundle. */
  readonly bundle: string;
  /** PEM of the server. */
  readonly cert: string;
  readonly key: string;
}

/** Written to `dir`. Rejects when there is no openssl: these tests are not to be skipped. */
export async function createPrivateCa(
  dir: string,
  names: readonly string[] = ['localhost'],
): Promise<PrivateCa> {
  const path = (name: string) => join(dir, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['-keyout', path('ca.key'), '-out', path('ca.pem'), '-subj', '/CN=Sluice test authority'];
  await run('openssl', ['req', '-x509', '-days', '2', ...newKey, ...authority]);
  const request = ['-keyout', path('server.key'), '-out', path('server.csr'), '-subj', '/CN=127.0.0.1'];
  await run('openssl', ['req', '-new', ...newKey, ...request]);
  const alternatives = ['IP:127.0.0.1', ...names.map((name) => `DNS:${name}`)].join(',');
  await writeFile(path('extensions'), `subjectAltName=${alternatives}\n`);
  const signing = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial', '-days', '2'];
  const files = ['-in', path('server.csr'), '-out', path('server.pem'), '-extfile', path('extensions')];
  await run('openssl', ['x509', '-req', ...signing, ...files]);
  return {
    bundle: path('ca.pem'),
    cert: await readFile(path('server.pem'), 'utf8'),
    key: await readFile(path('server.key'), 'utf8'),
  };
}
