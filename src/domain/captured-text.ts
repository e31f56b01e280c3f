// Headers and bodies of captured calls, without the secrets in them: those that are known, those that a name gives away, and
// whatever looks like one. It takes away too much rather than too little.
import { parseJson } from './json.ts';
import { redactSecrets } from './redaction.ts';
import { formDecoded } from './urls.ts';

export interface Known {
  /** The credential, in each form in which it could be repeated. The longest first: one may be a part of another. */
  forms: readonly string[];
  /** Of headers that carry it, in lower case. */
  headers: ReadonlySet<string>;
}

const HIDDEN = '…';
/** Shorter texts are in any body. */
const MIN_SECRET = 4;
const MAX_DEPTH = 64;

const NAMES =
  /passw|passphrase|pwd|secret|token|apikey|accesskey|privatekey|subscriptionkey|credential|authoriz|^auth$|xauth|cookie|session|signature|^sig$|assertion|jwt|verifier|otp$|^pin$|^code$|^dpop$|^nonce$|^key$/;
const SAFE_NAMES = /^(?:tokentype|expires\w*token)$/;

export const knownSecrets = (secrets: ReadonlySet<string>, headers: ReadonlySet<string>): Known => ({
  forms: formsOf(secrets),
  headers,
});

/** Whether members, parameters and headers of this name hold secrets. */
export function isSecretName(name: string): boolean {
  const plain = name.toLowerCase().replace(/[^a-z0-9]/g, '');
  return NAMES.test(plain) && !SAFE_NAMES.test(plain);
}

/** Pairs of names and values, of names and values in turn. */
export function redactHeaders(headers: readonly string[], known: Known): [name: string, value: string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name, value] = [headers[i]!, headers[i + 1]!];
    const isSecret = known.headers.has(name.toLowerCase()) || isSecretName(name);
    pairs.push([redactText(name, known), isSecret ? HIDDEN : redactText(value, known)]);
  }
  return pairs;
}

/** `type`: the media type; empty: not told. */
export function redactBody(text: string, type: string, known: Known): string {
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) return redactForm(text, known);
  const parsed = parsedJson(text);
  if (parsed !== undefined) return JSON.stringify(redactValue(parsed, known, 0));
  return redactText(redactMembers(text), known);
}

/** Parts with dots in between. It begins where the first part does, so that no part is read once for each of its characters. */
const DOTTED = /(?<![\w-])[\w-]+(?:\.[\w-]*)+/g;
const JOSE_HEADER = /\beyJ[\w-]{4,}/;
const SCHEME = /\b(Bearer|Basic|Token|DPoP|Digest|ApiKey|Signature)(\s{1,4})[^\s"',;<>]{4,}/gi;
/** A parameter, in a URL or beside it. */
const PARAMETER = /(^|[?&;#\s"'])([\w.%[\]-]{1,64})=([^&\s"'<>;#]*)/g;
const USERINFO = /(:\/\/)[^/\s"'<>@]{1,256}@/g;

function redactText(text: string, known: Known): string {
  const clean = withoutForms(text, known)
    .replace(USERINFO, `$1${HIDDEN}@`)
    .replace(PARAMETER, (all, before: string, name: string) =>
      isSecretName(name) ? `${before}${name}=${HIDDEN}` : all,
    )
    .replace(SCHEME, `$1$2${HIDDEN}`)
    .replace(DOTTED, withoutJwt);
  return redactSecrets(clean);
}

function withoutJwt(dotted: string): string {
  const parts = dotted.split('.');
  const at = parts.findIndex((part, i) => parts[i + 1] && JOSE_HEADER.test(part));
  return at < 0 ? dotted : [...parts.slice(0, at), parts[at]!.replace(JOSE_HEADER, HIDDEN)].join('.');
}

function withoutForms(text: string, { forms }: Known): string {
  let clean = text;
  for (const form of forms) clean = clean.replaceAll(form, HIDDEN);
  return clean;
}

function formsOf(secrets: ReadonlySet<string>): string[] {
  const forms = new Set<string>();
  for (const secret of secrets) {
    const json = JSON.stringify(secret).slice(1, -1);
    const encoded = encodeURIComponent(secret.toWellFormed());
    const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
    const url = Buffer.from(secret).toString('base64url');
    for (const form of [secret, json, json.replaceAll('/', '\\/'), encoded, encoded.replaceAll('%20', '+')])
      forms.add(form).add(form.replace(/%[0-9A-F]{2}/g, (one) => one.toLowerCase()));
    forms.add(base64).add(url);
  }
  return [...forms].filter((form) => form.length >= MIN_SECRET).sort((a, b) => b.length - a.length);
}

function redactForm(text: string, known: Known): string {
  // Before it is split: a secret may have these characters itself.
  const pairs = withoutForms(text, known)
    .split('&')
    .map((pair) => {
      const at = pair.indexOf('=');
      const name = at < 0 ? pair : pair.slice(0, at);
      return isSecretName(formDecoded(name)) && at >= 0 ? `${name}=${HIDDEN}` : redactText(pair, known);
    });
  return pairs.join('&');
}

/** Undefined: it is no list, object or text in JSON. */
const parsedJson = (text: string): unknown => (/^\s*[[{"]/.test(text) ? parseJson(text) : undefined);

function redactValue(value: unknown, known: Known, depth: number): unknown {
  if (depth > MAX_DEPTH) return HIDDEN;
  if (typeof value === 'string') {
    const inner = parsedJson(value);
    return typeof inner === 'object' ? JSON.stringify(redactValue(inner, known, depth + 1)) : redactText(value, known);
  }
  if (typeof value === 'number') return known.forms.includes(String(value)) ? HIDDEN : value;
  if (Array.isArray(value)) return value.map((one) => redactValue(one, known, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  const { name, key } = value as Record<string, unknown>;
  // Lists of named values are members too.
  const holdsSecret = [name, key].some((one) => typeof one === 'string' && isSecretName(one));
  return Object.fromEntries(
    Object.entries(value).map(([member, one]) => {
      const isSecret = (isSecretName(member) || (holdsSecret && member === 'value')) && one !== null;
      const isName = member === 'key' && holdsSecret;
      const shown = isSecret && !isName && typeof one !== 'boolean' ? HIDDEN : redactValue(one, known, depth + 1);
      return [redactText(member, known), shown];
    }),
  );
}

/** Of JSON that is cut, or is in lines; and its like. A text without an end ends with the body. */
const MEMBER = /("([^"\\]{1,64})"\s{0,8}:\s{0,8})("(?:[^"\\]|\\[\s\S])*(?:"|\\?$)|[\d.eE+-]+)/g;
const ELEMENT = /(<(?:[\w-]{1,32}:)?([\w.-]{1,64})(?:\s[^<>]{0,256})?>)([^<]*)/g;
const PART = /(name="([^"\r\n]{1,64})"[^\r\n]{0,512}(?:\r?\n[^\r\n]{1,512}){0,8}\r?\n\r?\n)([\s\S]*?)(?=\r?\n--|$)/g;
const LINE = /^(\s{0,32}["']?([\w.-]{1,64})["']?\s{0,8}[:=]\s{0,8})([^\r\n"{[]+)$/gm;

function redactMembers(text: string): string {
  const hide = (all: string, before: string, name: string) => (isSecretName(name) ? before + HIDDEN : all);
  const hideQuoted = (all: string, before: string, name: string) => (isSecretName(name) ? `${before}"${HIDDEN}"` : all);
  return text.replace(PART, hide).replace(MEMBER, hideQuoted).replace(ELEMENT, hide).replace(LINE, hide);
}

/** What a body that is cut ends with may be the beginning of a secret: its last word goes. */
export function withoutLastWord(text: string): string {
  let end = text.length;
  while (end > 0 && !ENDS_WORD.test(text[end - 1]!)) end--;
  return end === text.length ? text : text.slice(0, end) + HIDDEN;
}

const ENDS_WORD = /[\s"',;&<>{}[\]]/;
