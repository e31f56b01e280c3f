// The filters of templates (src/domain/webhook-template.ts): what is done with one value. Undefined: there is no value.
import { createHash, createHmac } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { isObject } from '../../domain/json.ts';
import type { FilterName } from '../../domain/webhook-template.ts';
import { parseJson } from './json.ts';
import { allAt } from './json-paths.ts';

type Value = unknown;
/** `secret`: the key of the endpoint. */
type Filter = (value: Value, argument: string | undefined, secret: Buffer | undefined) => Value[];

const ofText =
  (change: (text: string, argument: string) => string | Uint8Array | undefined): Filter =>
  (value, argument = '') => {
    const text =
      typeof value === 'number' ? String(value) : value instanceof Uint8Array ? Buffer.from(value).toString() : value;
    return typeof text === 'string' ? [change(text, argument)] : [];
  };
const bytesOf = (value: Value): Uint8Array | undefined =>
  typeof value === 'string' ? Buffer.from(value) : value instanceof Uint8Array ? value : undefined;
const ofBytes =
  (change: (bytes: Uint8Array) => string): Filter =>
  (value) => {
    const bytes = bytesOf(value);
    return bytes ? [change(bytes)] : [];
  };

const UNESCAPED = /%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi;

const FILTERS: Record<FilterName, Filter> = {
  json: (value, path) => {
    const text = bytesOf(value);
    return text === undefined ? [] : allAt(parseJson(Buffer.from(text).toString()), path);
  },
  base64: ofText((text) => Buffer.from(text, 'base64').toString('utf8')),
  sha256: ofBytes((bytes) => createHash('sha256').update(bytes).digest('hex')),
  crc32: ofBytes((bytes) => String(crc32(bytes))),
  hmac: (value, argument = '', secret) => {
    const [hash = 'sha256', encoding = 'hex'] = argument.split(':');
    const text = bytesOf(value);
    const isKnown = encoding === 'hex' || encoding === 'base64';
    return text && secret && isKnown ? [createHmac(hash, secret).update(text).digest(encoding)] : [];
  },
  lower: ofText((text) => text.toLowerCase()),
  origin: ofText((text) => URL.parse(text)?.origin),
  without: ofText((text, end) => (text.endsWith(end) ? text.slice(0, -end.length) : undefined)),
  after: ofText((text, mark) => text.slice(text.lastIndexOf(mark) + 1)),
  part: ofText((text, index) => text.split('/')[Number(index)]),
  key: (value, end = '') => (isObject(value) ? [Object.keys(value).find((name) => name.endsWith(end))] : []),
  sorted: (value) => (value instanceof URLSearchParams ? [sorted(value)] : []),
  joined: (value, left = '') => (value instanceof URLSearchParams ? [joined(value, left)] : []),
  other_port: ofText(withOtherPort),
  unescaped: ofText((text) => text.replace(UNESCAPED, (encoded) => decodeURIComponent(encoded))),
  escaped: ofText(escaped),
};

export const applyFilter = (name: FilterName, ...given: Parameters<Filter>): Value[] => FILTERS[name](...given);

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Anybody may send thousands of names before the signature is checked: `getAll` for each would read the form once a name. */
function sorted(form: URLSearchParams): string {
  const byItsName = Map.groupBy(form, ([name]) => name);
  const parts = [...byItsName]
    .sort(([a], [b]) => byName(a, b))
    .flatMap(([name, pairs]) =>
      [...new Set(pairs.map(([, value]) => value))].sort(byName).map((value) => name + value),
    );
  return parts.join('');
}

const joined = (form: URLSearchParams, left: string): string =>
  [...form]
    .filter(([name]) => name !== left)
    .sort(([a], [b]) => byName(a, b))
    .map(([name, value]) => `&${name}=${value.replaceAll(/[&=]/g, '_')}`)
    .join('');

const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const LETTER_U = 0x75;
const DIGITS = Buffer.from('0123456789abcdef');

/** Character by character: a function called for each of a body's million takes a second. */
function escaped(text: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(6 * text.length);
  let size = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x7f) {
      bytes[size++] = BACKSLASH;
      bytes[size++] = LETTER_U;
      for (const shift of [12, 8, 4, 0]) bytes[size++] = DIGITS[(unit >> shift) & 15]!;
    } else {
      if (unit === SLASH && text.charCodeAt(at - 1) !== BACKSLASH) bytes[size++] = BACKSLASH;
      bytes[size++] = unit;
    }
  }
  return bytes.subarray(0, size);
}

/** Changed as text, since a URL object would change more. */
function withOtherPort(url: string): string | undefined {
  const { start, host, port, rest } =
    /^(?<start>https?:\/\/(?:[^/?#@]*@)?)(?<host>\[[^\]]*\]|[^:/?#]+)(?::(?<port>\d+))?(?<rest>.*)$/s.exec(url)
      ?.groups ?? {};
  if (start === undefined) return undefined;
  const usual = start.startsWith('https:') ? '443' : '80';
  if (port === undefined) return `${start}${host}:${usual}${rest}`;
  return port === usual ? `${start}${host}${rest}` : undefined;
}
