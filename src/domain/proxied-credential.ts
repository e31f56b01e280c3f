// How a token is attached to a call through the proxy, as its `token_type` says.

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
  try {
    const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(text) as Record<string, unknown>;
    if (typeof AccessKeyId !== 'string' || typeof SecretAccessKey !== 'string') return undefined;
    const sessionToken = typeof SessionToken === 'string' ? SessionToken : undefined;
    // They are in headers, but for the secret key.
    if (!VISIBLE.test(AccessKeyId) || !VISIBLE.test(sessionToken ?? '-') || SecretAccessKey === '') return undefined;
    return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken };
  } catch {
    return undefined;
  }
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

function nameOf(pair: string): string {
  const name = pair.split('=', 1)[0]!.replaceAll('+', ' ');
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** How often a server may have encoded what it repeats: a URL in the query of a URL. */
const MAX_DECODINGS = 4;
/** What is cut may leave the secret behind again, so often at most. */
const MAX_CUTS = 8;

/** A text of a response without the secrets: an API may repeat the URL that it was called with, in an encoding of its own. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  let left = text;
  for (const secret of secrets) if (secret.length <= left.length) left = without(left, bytesOf(secret));
  return left;
}

/** As they came, but for the secrets: names and values in turn. */
export function headersWithoutSecrets(headers: readonly string[], secrets: readonly string[]): string[] {
  let longest = 0;
  for (let i = 1; i < headers.length; i += 2) longest = Math.max(longest, headers[i]!.length);
  // In bytes, none is shorter.
  const all = secrets.filter((secret) => secret.length <= longest).map(bytesOf);
  return headers.map((text, i) => (i % 2 === 0 || all.length === 0 ? text : all.reduce(without, text)));
}

const bytesOf = (secret: string): string => Buffer.from(secret).toString('latin1');

function without(text: string, bytes: string): string {
  if (text.length < bytes.length || bytes === '') return text;
  let left = text;
  for (let cuts = 0; cuts < MAX_CUTS; cuts++) {
    const found = placesOf(left, bytes);
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

/** Where a text has these bytes, as they are or however often they are percent-encoded. */
function placesOf(text: string, bytes: string): [start: number, end: number][] {
  let read: Read = { text, at: undefined };
  for (let decodings = 0; ; decodings++) {
    const places = occurrences(read, bytes);
    if (places.length > 0 || decodings >= MAX_DECODINGS || !read.text.includes('%')) return places;
    read = decodedOnce(read);
  }
}

interface Read {
  text: string;
  /** Where each of its characters begins in what it was read from, and where the last one ends; undefined: at the same place. */
  at: number[] | undefined;
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

function decodedOnce({ text, at }: Read): Read {
  const decoded: string[] = [];
  const from: number[] = [];
  for (let i = 0; i < text.length; ) {
    const digits = text.slice(i + 1, i + 3);
    const isEscape = text[i] === '%' && /^[0-9a-f]{2}$/i.test(digits);
    from.push(at ? at[i]! : i);
    decoded.push(isEscape ? String.fromCharCode(Number.parseInt(digits, 16)) : text[i]!);
    i += isEscape ? 3 : 1;
  }
  from.push(at ? at[text.length]! : text.length);
  return { text: decoded.join(''), at: from };
}
