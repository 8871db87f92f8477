/**
 * The sizes of the parts that an object was uploaded in: without them a checksum of parts cannot be compared. Called by
 * s3-object-store.ts; the requests are its own.
 *
 * S3 lists the parts of objects whose parts have checksums, a thousand in one answer; of others it tells one part's size
 * per HEAD. Servers that know neither, and objects of more parts than are worth so many HEADs, give nothing.
 */
import type { ObjectVersion } from './object-store.js';
import { quoted } from './part-response.js';

/** One page of GetObjectAttributes, as far as it is looked at. */
export interface PartsPage {
  readonly etag: string | undefined;
  readonly partsTotal: number | undefined;
  readonly parts: readonly { readonly number: number | undefined; readonly bytes: number | undefined }[];
}

/** A HEAD of one part. */
export interface PartHead {
  readonly etag: string | undefined;
  readonly partsTotal: number | undefined;
  readonly bytes: number | undefined;
}

/** What a server that does not know such requests says. */
export const NO_PAGE: PartsPage = { etag: undefined, partsTotal: undefined, parts: [] };
export const NO_PART: PartHead = { etag: undefined, partsTotal: undefined, bytes: undefined };

export interface PartRequests {
  /** The parts behind number `marker`. */
  page(marker: number): Promise<PartsPage>;
  head(partNumber: number): Promise<PartHead>;
}

/** At 20 ms each, and four at once, 5 s. */
const HEADS_MAX = 1000;
const HEADS_AT_ONCE = 4;

/** In order; undefined when the server does not tell them, or what it tells is not of this version. */
export async function partSizesOf(
  version: Pick<ObjectVersion, 'etag' | 'size'>,
  parts: number,
  requests: PartRequests,
): Promise<readonly number[] | undefined> {
  // Its own size is all there is to know.
  if (parts === 1) return [version.size];
  const sizes = (await listed(version, parts, requests)) ?? (await asked(version, parts, requests));
  return sizes?.reduce((sum, bytes) => sum + bytes, 0) === version.size ? sizes : undefined;
}

/** As one listing of them. */
async function listed(
  { etag }: Pick<ObjectVersion, 'etag'>,
  parts: number,
  requests: PartRequests,
): Promise<number[] | undefined> {
  const sizes: number[] = [];
  while (sizes.length < parts) {
    const page = await requests.page(sizes.length);
    const isOurs = quoted(page.etag ?? '') === etag && page.partsTotal === parts;
    if (!isOurs || page.parts.length === 0) return undefined;
    for (const { number, bytes } of page.parts) {
      if (number !== sizes.length + 1 || bytes === undefined) return undefined;
      sizes.push(bytes);
    }
  }
  return sizes.length === parts ? sizes : undefined;
}

/** One by one; the first alone, since servers that cannot tell do not tell that either. */
async function asked(
  { etag }: Pick<ObjectVersion, 'etag'>,
  parts: number,
  requests: PartRequests,
): Promise<number[] | undefined> {
  if (parts > HEADS_MAX) return undefined;
  const ask = async (part: number) => {
    const head = await requests.head(part);
    return quoted(head.etag ?? '') === etag && head.partsTotal === parts ? head.bytes : undefined;
  };
  const sizes: number[] = [];
  while (sizes.length < parts) {
    const next = sizes.length + 1;
    const count = sizes.length === 0 ? 1 : Math.min(HEADS_AT_ONCE, parts - sizes.length);
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => ask(next + i)));
    for (const bytes of answers) {
      if (bytes === undefined) return undefined;
      sizes.push(bytes);
    }
  }
  return sizes;
}
