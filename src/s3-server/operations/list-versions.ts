/** ListObjectVersions: every version and delete marker, keys in order, newest first within a key. */
import type { Handler } from '../service.js';
import type { Bucket } from '../bucket.js';
import { compareKeys } from '../key-index.js';
import { commonPrefixOf } from '../listing.js';
import type { ObjectVersion } from '../model.js';
import { xmlResponse } from '../responses.js';
import { requireBucket } from '../target.js';
import type { XmlElement } from '../xml.js';
import { listingTime, listOptions, type ListOptions } from './list-objects.js';

/** A line of the listing. */
type Item =
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'version'; readonly version: ObjectVersion; readonly isLatest: boolean };

interface Marker {
  readonly key: string;
  /** Within the key; undefined: after all its versions. */
  readonly versionId: string | undefined;
}

export const listObjectVersions: Handler = async (request, { storage }) => {
  const bucket = storage.bucket(requireBucket(request));
  const options = listOptions(request);
  const { encode, maxKeys } = options;
  const marker = {
    key: request.query.get('key-marker') ?? '',
    versionId: request.query.get('version-id-marker'),
  };
  const items: Item[] = [];
  let isTruncated = false;
  for (const item of walk(bucket, options, marker)) {
    isTruncated = items.length === maxKeys;
    if (isTruncated) break;
    items.push(item);
  }
  const next = isTruncated ? items.at(-1) : undefined;
  return xmlResponse('ListVersionsResult', {
    Name: bucket.name,
    Prefix: encode(options.prefix),
    Delimiter: options.delimiter === '' ? undefined : encode(options.delimiter),
    MaxKeys: maxKeys,
    EncodingType: options.encodingType,
    KeyMarker: encode(marker.key),
    VersionIdMarker: marker.versionId ?? '',
    IsTruncated: next !== undefined,
    NextKeyMarker:
      next === undefined ? undefined : encode(next.kind === 'prefix' ? next.prefix : next.version.key),
    NextVersionIdMarker: next?.kind === 'version' ? next.version.versionId : undefined,
    Version: items.flatMap((item) => (isObject(item) ? [versionElement(item, encode)] : [])),
    DeleteMarker: items.flatMap((item) => (isMarker(item) ? [entryElement(item, encode)] : [])),
    CommonPrefixes: items.flatMap((item) =>
      item.kind === 'prefix' ? [{ Prefix: encode(item.prefix) }] : [],
    ),
  });
};

/** All items after the marker, lazily: the caller stops when its page is full. */
function* walk(bucket: Bucket, { prefix, delimiter }: ListOptions, marker: Marker): Generator<Item, void> {
  let skipped = marker.key.startsWith(prefix) ? commonPrefixOf(marker.key, prefix, delimiter) : undefined;
  const isReached = (key: string) =>
    compareKeys(key, prefix) >= 0 &&
    compareKeys(key, marker.key) >= (marker.versionId === undefined && marker.key !== '' ? 1 : 0);
  for (const { key, value: versions } of bucket.history.from(isReached)) {
    if (!key.startsWith(prefix)) return;
    const commonPrefix = commonPrefixOf(key, prefix, delimiter);
    if (commonPrefix === undefined) yield* versionsAfter(key, versions, marker);
    else if (commonPrefix !== skipped) yield { kind: 'prefix', prefix: commonPrefix };
    skipped = commonPrefix;
  }
}

function* versionsAfter(
  key: string,
  versions: readonly ObjectVersion[],
  marker: Marker,
): Generator<Item, void> {
  const markerAt =
    key === marker.key ? versions.findIndex(({ versionId }) => versionId === marker.versionId) : -1;
  for (const version of versions.slice(markerAt + 1))
    yield { kind: 'version', version, isLatest: version === versions[0] };
}

type VersionItem = Extract<Item, { kind: 'version' }>;

function isObject(item: Item): item is VersionItem {
  return item.kind === 'version' && !item.version.isDeleteMarker;
}

function isMarker(item: Item): item is VersionItem {
  return item.kind === 'version' && item.version.isDeleteMarker;
}

function entryElement({ version, isLatest }: VersionItem, encode: (key: string) => string): XmlElement {
  return {
    Key: encode(version.key),
    VersionId: version.versionId,
    IsLatest: isLatest,
    LastModified: listingTime(version.lastModifiedMs),
    Owner: { ID: 'sluice', DisplayName: 'sluice' },
  };
}

function versionElement(item: VersionItem, encode: (key: string) => string): XmlElement {
  const { version } = item;
  return {
    ...entryElement(item, encode),
    ETag: `"${version.etag}"`,
    Size: version.sizeBytes,
    StorageClass: version.storageClass,
  };
}
