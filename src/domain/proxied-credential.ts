// How a token is attached to a call through the proxy, as its `token_type` says.
import { isObject, parseJson } from './json.ts';
import { formDecoded } from './urls.ts';

/** AWS's keys, as they are stored (`credential_process`). */
export interface AwsKeys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string | undefined;
}

/** `secrets`: each part of the credential, which must not come back in a response. */
export type Attachment =
  | { kind: 'header'; name: string; value: string; secrets: readonly string[] }
  | { kind: 'query'; name: string; value: string; secrets: readonly string[] }
  /** RFC 9449: with a proof for each request. */
  | { kind: 'dpop'; secrets: readonly string[] }
  | { kind: 'sigv4'; keys: AwsKeys; secrets: readonly string[] };

/** Why the proxy cannot send a token: there is no place for its type, or no header can have its text. */
export type Unattachable = 'type' | 'text';

export function attachmentOf(tokenType: string, accessToken: string): Attachment | Unattachable {
  const [, place, name = ''] = /^(header|query|body):(.+)$/.exec(tokenType) ?? [];
  if (place === 'body') return 'type';
  const secrets = [accessToken];
  if (place === 'query') return { kind: 'query', name, value: encodeURIComponent(accessToken), secrets };
  if (tokenType.startsWith('AWS4-')) {
    const keys = awsKeysOf(accessToken);
    if (!keys) return 'text';
    const { accessKeyId, secretAccessKey, sessionToken } = keys;
    return { kind: 'sigv4', keys, secrets: [secretAccessKey, ...(sessionToken ? [sessionToken] : []), accessKeyId] };
  }
  if (!VISIBLE.test(accessToken)) return 'text';
  if (place === 'header') return { kind: 'header', name, value: accessToken, secrets };
  if (tokenType === 'DPoP') return { kind: 'dpop', secrets };
  const all = tokenType.toLowerCase() === 'basic' ? [...secrets, ...basicSecrets(accessToken)] : secrets;
  return { kind: 'header', name: 'Authorization', value: `${tokenType} ${accessToken}`, secrets: all };
}

const VISIBLE = /^[\x20-\x7e]+$/;
/** With a shorter password, such as one that stands for none, the user name may be the key. */
const MIN_PASSWORD = 8;
/** Shorter texts are in any header. */
const MIN_PART = 4;

/** RFC 7617: the pair, and what is secret of it. */
function basicSecrets(encoded: string): string[] {
  const pair = Buffer.from(encoded, 'base64').toString();
  const at = pair.indexOf(':');
  if (at < 0) return [];
  const [user, password] = [pair.slice(0, at), pair.slice(at + 1)];
  const parts = password.length >= MIN_PASSWORD ? [pair, password] : [pair, user, password];
  return parts.filter((part) => part.length >= MIN_PART);
}

function awsKeysOf(text: string): AwsKeys | undefined {
  const keys = parseJson(text);
  if (!isObject(keys)) return undefined;
  const { AccessKeyId, SecretAccessKey, SessionToken } = keys;
  if (typeof AccessKeyId !== 'string' || typeof SecretAccessKey !== 'string') return undefined;
  const sessionToken = typeof SessionToken === 'string' ? SessionToken : undefined;
  // They are in headers, but for the secret key.
  if (!VISIBLE.test(AccessKeyId) || !VISIBLE.test(sessionToken ?? '-') || SecretAccessKey === '') return undefined;
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken };
}

const AWS_HEADERS = ['x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'] as const;

/** The headers that carry a credential of this kind, in lower case: a caller's own are left out. */
export const credentialHeaders = (attached: Attachment): readonly string[] => {
  if (attached.kind === 'header') return [attached.name.toLowerCase(), 'dpop'];
  return attached.kind === 'sigv4' ? [...AWS_HEADERS, 'dpop'] : ['dpop'];
};

/** The query without the parameters of this name, which would stand beside the credential; otherwise as it is. */
export function queryWithout(query: string, name: string): string {
  const pairs = query.slice(1).split('&');
  const kept = pairs.filter((pair) => nameOf(pair) !== name);
  if (kept.length === pairs.length) return query;
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

const nameOf = (pair: string): string => formDecoded(pair.split('=', 1)[0]!);

/** How often a server may have encoded what it repeats: a URL in the query of a URL. */
const MAX_DECODINGS = 4;
/** What is cut may leave a secret behind again, so often at most: what then has one still was made for that, and nothing of it is left. */
const MAX_CUTS = 8;

/** Shorter texts are, encoded, in other texts as well. */
const MIN_ENCODED = 8;

/** The secrets, and each in hexadecimal and in base64 of either alphabet, alone or within something else. */
export function withEncodings(secrets: readonly string[]): readonly string[] {
  const encoded = secrets.filter((secret) => secret.length >= MIN_ENCODED).flatMap(encodingsOf);
  return [...new Set([...secrets, ...encoded])];
}

function encodingsOf(secret: string): string[] {
  const hex = Buffer.from(secret).toString('hex');
  // What stands before it says with which bit its first digit begins: the digits that are its own alone.
  const base64 = [0, 1, 2].map((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]);
    return bytes.toString('base64').slice(Math.ceil((before * 4) / 3), Math.floor((bytes.length * 4) / 3));
  });
  const url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [hex, hex.toUpperCase(), ...base64, ...url];
}

/** A text of a response without the secrets: an API may repeat the URL that it was called with, in an encoding of its own. */
export const withoutSecrets = (text: string, secrets: readonly string[]): string =>
  without(text, bytesOf(secrets, text.length));

/** As they came, but for the secrets: names and values in turn. A header with one in its name is left out. */
export function headersWithoutSecrets(headers: readonly string[], secrets: readonly string[]): string[] {
  let longest = 0;
  for (const text of headers) longest = Math.max(longest, text.length);
  const all = bytesOf(secrets, longest);
  if (all.length === 0) return [...headers];
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2)
    if (without(headers[i]!, all) === headers[i]) kept.push(headers[i]!, without(headers[i + 1]!, all));
  return kept;
}

/** Those that a text of this length can have, one character for each byte. In bytes, none is shorter. */
function bytesOf(secrets: readonly string[], length: number): string[] {
  const all: string[] = [];
  for (const secret of secrets)
    if (secret !== '' && secret.length <= length)
      all.push(VISIBLE.test(secret) ? secret : Buffer.from(secret).toString('latin1'));
  return all;
}

function without(text: string, all: readonly string[]): string {
  let left = text;
  for (let cuts = 0; cuts <= MAX_CUTS; cuts++) {
    const found = placesOf(left, all);
    if (found.length === 0) return left;
    let kept = '';
    let from = 0;
    for (const [start, end] of found) {
      kept += left.slice(from, start);
      from = end;
    }
    left = kept + left.slice(from);
  }
  return '';
}

/** Where a text has the bytes of one of them, as they are or however often they are escaped: as in URLs, or as in JSON. */
function placesOf(text: string, all: readonly string[]): [start: number, end: number][] {
  if (all.every((bytes) => bytes.length > text.length)) return [];
  let read: Read = { text, at: undefined };
  for (let decodings = 0; ; decodings++) {
    for (const bytes of all) {
      const places = occurrences(read, bytes);
      if (places.length > 0) return places;
    }
    if (decodings >= MAX_DECODINGS || !/[%\\]/.test(read.text)) return [];
    read = decodedOnce(read);
  }
}

interface Read {
  text: string;
  /** Where each of its characters begins in what it was read from, and where the last one ends; undefined: at the same place. */
  at: Uint32Array | undefined;
}

function occurrences({ text, at }: Read, bytes: string): [start: number, end: number][] {
  const found: [number, number][] = [];
  // Forms write a space as `+`.
  const isForm = !text.includes(bytes) && bytes.includes(' ');
  const [within, wanted] = isForm ? [text.replaceAll('+', ' '), bytes.replaceAll('+', ' ')] : [text, bytes];
  for (let i = within.indexOf(wanted); i >= 0; i = within.indexOf(wanted, i + wanted.length)) {
    const end = i + wanted.length;
    found.push(at ? [at[i]!, at[end]!] : [i, end]);
  }
  return found;
}

/** By codes, without objects and texts in between: 32 kB of a header may be escapes, and are read again after each cut. */
function decodedOnce({ text, at }: Read): Read {
  const decoded = new Uint16Array(text.length);
  const from = new Uint32Array(text.length + 1);
  let size = 0;
  for (let i = 0; i < text.length; size++) {
    from[size] = at ? at[i]! : i;
    const code = text.charCodeAt(i);
    const mark = code === PERCENT ? 1 : code === BACKSLASH ? markLength(text, i) : 0;
    const byte = mark === 0 ? -1 : byteAt(text, i + mark);
    const isOfItself = byte < 0 && code === BACKSLASH && QUOTED.includes(text.charCodeAt(i + 1));
    decoded[size] = byte >= 0 ? byte : isOfItself ? text.charCodeAt(i + 1) : code;
    i += byte >= 0 ? mark + 2 : isOfItself ? 2 : 1;
  }
  from[size] = at ? at[text.length]! : text.length;
  return { text: Buffer.from(decoded.buffer, 0, 2 * size).toString('utf16le'), at: from };
}

const [PERCENT, BACKSLASH] = [0x25, 0x5c];
/** `\/`, `\"` and `\\`. */
const QUOTED = [0x2f, 0x22, BACKSLASH];

/** Of `\x` in `\x2f`, and of `\u00` in `\u002f`; 0: it is no escape of a byte. */
function markLength(text: string, at: number): number {
  const letter = text[at + 1];
  if (letter === 'x' || letter === 'X') return 2;
  return (letter === 'u' || letter === 'U') && text.startsWith('00', at + 2) ? 4 : 0;
}

/** Of two hexadecimal digits; -1: there are none. */
function byteAt(text: string, at: number): number {
  const high = digitAt(text, at);
  const low = high < 0 ? -1 : digitAt(text, at + 1);
  return low < 0 ? -1 : 16 * high + low;
}

/** -1: it is none. */
function digitAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
