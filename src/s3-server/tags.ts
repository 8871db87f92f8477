/** Object tags: their limits, and their form in the `x-amz-tagging` header and in XML. */
import { S3Error } from './errors.js';
import { queryPairs } from './request.js';
import { childNodes, childText, type XmlElement, type XmlNode } from './xml.js';

export type Tags = Readonly<Record<string, string>>;

/** The limits of S3. */
const TAGS_MAX = 10;
const TAG_KEY_LENGTH_MAX = 128;
const TAG_VALUE_LENGTH_MAX = 256;

export function parseTagHeader(text: string | undefined): Tags {
  return checkedTags([...queryPairs(text ?? '')]);
}

export function parseTagDocument(tagging: XmlNode): Tags {
  const [set = ''] = childNodes(tagging, 'TagSet');
  const pairs = childNodes(set, 'Tag').map(
    (tag) => [childText(tag, 'Key') ?? '', childText(tag, 'Value') ?? ''] as const,
  );
  return checkedTags(pairs);
}

export function tagDocument(tags: Tags): XmlElement {
  return { TagSet: { Tag: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) } };
}

function checkedTags(pairs: readonly (readonly [string, string])[]): Tags {
  const tags = new Map(pairs);
  if (pairs.length > TAGS_MAX) throw invalidTag(`Object tags cannot be greater than ${TAGS_MAX}`);
  if (tags.size < pairs.length) throw invalidTag('Cannot provide multiple Tags with the same key');
  for (const [key, value] of pairs) {
    if (key === '' || key.length > TAG_KEY_LENGTH_MAX)
      throw invalidTag('The TagKey you have provided is invalid');
    if (value.length > TAG_VALUE_LENGTH_MAX) throw invalidTag('The TagValue you have provided is invalid');
  }
  return Object.fromEntries(tags);
}

function invalidTag(message: string): S3Error {
  return new S3Error('InvalidTag', message);
}
