/**
 * XML in and out: a writer with complete escaping, and the reader of the small request documents
 * (CompleteMultipartUpload, Delete, Tagging, …). The only importer of fast-xml-parser in this folder.
 *
 * Characters that XML 1.0 does not allow even as references (most control characters) are written as numeric
 * references nevertheless: that is what S3 sends for such keys when the client did not ask for
 * encoding-type=url, and what lenient readers such as the AWS SDK's understand.
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { S3Error } from './errors.js';

export type XmlValue = string | number | boolean;
/** An element: its children in order. Arrays repeat the element; `undefined` leaves it out. */
export interface XmlElement {
  readonly [name: string]: XmlContent;
}
export type XmlContent = XmlValue | XmlElement | readonly (XmlValue | XmlElement)[] | undefined;

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
/** A carriage return or a newline would be normalised by a reader, hence written as a reference too. */
// oxlint-disable-next-line no-control-regex -- control characters are exactly what must be found
const NEEDS_ESCAPE = /[&<>"\u0000-\u001f\u007f-\u009f\u2028\ufffe\uffff]/g;
const NAMED_ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

const CHARACTERS: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

export function escapeXml(text: string): string {
  return text.replace(
    NEEDS_ESCAPE,
    (char) => NAMED_ENTITIES[char] ?? `&#x${char.charCodeAt(0).toString(16)};`,
  );
}

function unescapeXml(text: string): string {
  return text.replace(
    /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9a-f]{1,6}));/gi,
    (reference, name, decimal, hex) => {
      if (name !== undefined) return CHARACTERS[String(name).toLowerCase()] ?? reference;
      const codePoint = decimal === undefined ? Number.parseInt(String(hex), 16) : Number(decimal);
      return codePoint <= 0x10ffff ? String.fromCodePoint(codePoint) : reference;
    },
  );
}

/** A whole document: declaration and root element in the S3 namespace. */
export function xmlDocument(root: string, content: XmlElement | string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${NAMESPACE}">${inner(content)}</${root}>`;
}

/** The document of an error, which has no namespace. */
export function xmlErrorDocument(content: XmlElement): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${children(content)}</Error>`;
}

function children(content: XmlElement): string {
  let text = '';
  for (const [name, value] of Object.entries(content)) text += element(name, value);
  return text;
}

function element(name: string, content: XmlContent): string {
  if (content === undefined) return '';
  if (Array.isArray(content))
    return content.map((item: XmlValue | XmlElement) => element(name, item)).join('');
  return `<${name}>${inner(content as XmlValue | XmlElement)}</${name}>`;
}

function inner(content: XmlValue | XmlElement): string {
  return typeof content === 'object' ? children(content) : escapeXml(String(content));
}

const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  parseTagValue: false,
  trimValues: false,
  removeNSPrefix: true,
  // The parser refuses references to characters outside of XML, which keys may have: `unescapeXml` does it.
  processEntities: false,
});

/** What the reader returns: texts, nested elements, or a list where an element was repeated. */
export type XmlNode = string | { readonly [name: string]: XmlNode } | readonly XmlNode[];

/** Parses a request body with the root element `root`. Throws S3Error MalformedXML. */
export function parseXml(body: string, root: string): XmlNode {
  const malformed = (cause?: unknown) =>
    new S3Error('MalformedXML', 'The XML you provided was not well-formed or did not validate', { cause });
  // A document type could declare entities; no S3 request has one.
  if (/<!DOCTYPE/i.test(body) || XMLValidator.validate(body) !== true) throw malformed();
  let parsed: Record<string, XmlNode | undefined>;
  try {
    parsed = parser.parse(body) as Record<string, XmlNode | undefined>;
  } catch (error) {
    throw malformed(error);
  }
  const node = parsed[root];
  if (node === undefined) throw malformed();
  return node;
}

/** The text of child `name`, or undefined when there is no such single text child. */
export function childText(node: XmlNode, name: string): string | undefined {
  if (typeof node !== 'object' || Array.isArray(node)) return undefined;
  const child = (node as Readonly<Record<string, XmlNode>>)[name];
  return typeof child === 'string' ? unescapeXml(child) : undefined;
}

/** All children called `name`, in order. */
export function childNodes(node: XmlNode, name: string): readonly XmlNode[] {
  if (typeof node !== 'object' || Array.isArray(node)) return [];
  const child = (node as Readonly<Record<string, XmlNode>>)[name];
  if (child === undefined) return [];
  return Array.isArray(child) ? (child as readonly XmlNode[]) : [child];
}
