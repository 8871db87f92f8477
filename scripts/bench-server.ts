/**
 * The S3 server of the benchmarks, a process of its own: prepares objects, simulates a network, counts. bench-world.ts
 * starts it and talks to it by messages, each answered by one. It ends with whoever started it.
 *
 * Objects of kind `file` lie on the disk, so that serving them costs little; `synthetic` ones are computed as they are
 * read, which takes no room. A `safetensors` object is a file with a header of its format; its tensors are of the pattern,
 * each byte by its offset in the object.
 */
import { fillPattern } from '../src/runtime/pattern.js';
import { startS3Server } from '../src/s3-server/server.js';
import type { CountersSnapshot } from '../src/s3-server/counters.js';
import type { SimulatedNetwork } from '../src/s3-server/server.js';
import { safetensorsHeader } from './bench-safetensors.js';

export interface ServerSettings {
  readonly dir: string;
  readonly bucket: string;
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
}

export interface BenchObject {
  readonly key: string;
  readonly size: number;
  readonly seed: number;
  readonly kind: 'file' | 'synthetic' | 'safetensors';
}

export type ServerCommand =
  | { readonly do: 'put'; readonly objects: readonly BenchObject[] }
  | { readonly do: 'network'; readonly network: Required<SimulatedNetwork> }
  | { readonly do: 'reset' }
  | { readonly do: 'count' };

export type Counts = Pick<
  CountersSnapshot,
  'requests' | 'bytesSent' | 'connectionsOpenMax' | 'connectionsBusyMax'
>;

/** To every command, and once when it serves. */
export interface ServerAnswer {
  readonly endpoint: string;
  readonly counts: Counts;
  readonly error?: string | undefined;
}

const { dir, bucket, tls } = JSON.parse(process.argv[2] ?? '') as ServerSettings;
const server = await startS3Server({ dir, tls, anonymousRead: true });
await server.createBucket(bucket);

async function put({ key, size, seed, kind }: BenchObject): Promise<void> {
  if (kind === 'synthetic') {
    await server.putSynthetic(bucket, key, { size, seed });
    return;
  }
  const bytes = fillPattern(Buffer.allocUnsafe(size), seed, 0) as Buffer;
  if (kind === 'safetensors') safetensorsHeader(size).copy(bytes);
  await server.putObject(bucket, key, bytes);
}

async function obey(command: ServerCommand): Promise<void> {
  if (command.do === 'put') for (const object of command.objects) await put(object);
  else if (command.do === 'network') Object.assign(server.faults, command.network);
  else if (command.do === 'reset') server.counters.reset();
}

function answer(error?: Error): void {
  const { requests, bytesSent, connectionsOpenMax, connectionsBusyMax } = server.counters;
  process.send?.({
    endpoint: server.endpoint,
    counts: { requests, bytesSent, connectionsOpenMax, connectionsBusyMax },
    error: error?.message,
  } satisfies ServerAnswer);
}

process.on('message', (command: ServerCommand) => void obey(command).then(() => answer(), answer));
process.once('disconnect', () => process.exit());
answer();
