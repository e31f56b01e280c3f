// The path of a call through the proxy: normalised (RFC 3986 6.2.2), and refused where two servers could read it differently,
// so that what permissions are checked against is what the API serves.
import { percentDecoded } from './urls.ts';

export interface RequestPath {
  /** Begins with a slash, or is empty: the base URL itself. Normalised, and sent like this. */
  path: string;
  /** As it came, with its `?`; empty: none. */
  query: string;
}

/** Why a path is refused, for people. */
export class PathFault {
  readonly detail: string;
  constructor(detail: string) {
    this.detail = detail;
  }
}

/** Characters of the path and of the query. */
const MAX_LENGTH = 16_384;
/** A server, a gateway before it and a framework behind it each decode once. */
const MAX_DECODINGS = 4;

/** RFC 3986 3.3, and characters that servers take as they are. Not: controls, space, `"#<>\^` and what is not ASCII. */
const PATH = /^[A-Za-z0-9._~!$&'()*+,;=:@%/|{}[\]`-]*$/;
/** What can stand in a request line: everything else ends or splits it. Bytes above ASCII stay as they came. */
const QUERY = /^[\x21\x22\x24-\x7e\x80-\xff]*$/;
const ESCAPE = /%([0-9A-Fa-f]{2})/g;
const UNRESERVED = /[A-Za-z0-9._~-]/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:$/;

/**
 * Reads what follows `/proxy` in a request target: nothing or a path that begins with a slash, and a query. An encoded slash (`%2F`) stays
 * encoded: it is part of its segment. The path is at most 16 kB, and nothing in it can lead out of where it is appended to.
 */
export function readRequestPath(target: string): RequestPath | PathFault {
  if (target.length > MAX_LENGTH) return new PathFault('The path and the query are too long.');
  const at = target.indexOf('?');
  const [raw, query] = at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at)];
  if (!QUERY.test(query)) return new PathFault('The query has characters that must be percent-encoded.');
  const path = raw === '' ? '' : normalisedPath(raw);
  return path instanceof PathFault ? path : { path, query };
}

/** Of a path alone; the same for paths of permissions. */
export function normalisedPath(raw: string): string | PathFault {
  if (!raw.startsWith('/')) return new PathFault('The path does not begin with a slash.');
  if (raw.includes('\\')) return new PathFault('The path has a backslash.');
  if (raw.includes('#')) return new PathFault('The path has a fragment. A "#" that is meant is sent as %23.');
  if (!PATH.test(raw)) return new PathFault('The path has characters that must be percent-encoded.');
  if (raw.includes('//')) return new PathFault('The path has an empty segment ("//").');
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) return new PathFault('The path has a "%" that encodes nothing.');
  const segments = raw.slice(1).split('/');
  if (SCHEME.test(segments[0]!)) return new PathFault('The path is a URL: the broker knows where the API is.');
  for (const segment of segments) {
    const fault = segmentFault(segment);
    if (fault !== undefined) return new PathFault(fault);
  }
  return raw.includes('%') ? raw.replace(ESCAPE, normalisedEscape) : raw;
}

/** Escapes of unreserved characters mean the characters; the others are written in upper case. */
function normalisedEscape(encoded: string, digits: string): string {
  const character = String.fromCharCode(Number.parseInt(digits, 16));
  return UNRESERVED.test(character) ? character : encoded.toUpperCase();
}

const DOTS = 'The path has a segment "." or "..", however it is encoded. Send the path that is meant.';

/** Why a segment is refused, as it is and however often a server decodes it; undefined: it is not. */
function segmentFault(segment: string): string | undefined {
  if (isDots(segment)) return DOTS;
  let text = segment;
  for (let decodings = 0; text.includes('%'); decodings++) {
    let decoded = percentDecoded(text);
    if (decoded === undefined) {
      // In the first place: overlong forms, halves of surrogates, other encodings. Later it is only text, of which a server
      // may decode what it can.
      if (decodings === 0) return 'The path has bytes that are not UTF-8.';
      if (HIDDEN.test(text)) return 'The path has characters that are encoded twice.';
      decoded = text.replace(ESCAPE, decodedAscii);
      if (decoded === text) return undefined;
    }
    text = decoded;
    if (decodings >= MAX_DECODINGS) return 'The path is encoded again and again.';
    const fault = decodedFault(text);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function decodedFault(text: string): string | undefined {
  if (CONTROLS.test(text)) return 'The path has an encoded control character.';
  if (text.includes('\\')) return 'The path has an encoded backslash.';
  return text.split(SLASHES).some(isDots) ? DOTS : undefined;
}

const decodedAscii = (encoded: string, digits: string): string => {
  const code = Number.parseInt(digits, 16);
  return code < 0x80 ? String.fromCharCode(code) : encoded;
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/;
/** Overlong forms, `%u002e`, and what else some servers decode. */
const HIDDEN = /%(?:c[01]|e0%[89]|f0%8|u[0-9a-f]{4})/i;
/** What servers take for a slash, some of them by their own folding of Unicode. */
const SLASHES = /[/\\\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c]/;

/**
 * Whether a segment is `.` or `..`, by any reading: with parameters (`..;x`), before a decoded `?` or `#`, with blanks around, in Unicode's other dots
 * (fullwidth, one and two dot leaders), or with characters within that no one sees.
 */
function isDots(segment: string): boolean {
  const name = segment.split(/[;?#]/, 1)[0]!;
  if (!/[^A-Za-z0-9_~-]/.test(name)) return false;
  return /^\.{1,2}$/.test(name.normalize('NFKC').replace(/[\p{C}\p{Z}\s]/gu, ''));
}

/** A path with what may name someone replaced, for logs: `/repos/{}/issues/{}`. Names of endpoints stay. */
export function pathTemplate(path: string): string {
  const shown = path.split('/', MAX_SHOWN + 1).map((segment) => (KEPT.test(segment) ? segment : '{}'));
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN).join('/')}/…` : shown.join('/');
}

const MAX_SHOWN = 8;
/** Words, and versions. Whatever has digits, is long or is encoded may be an id, a name or a secret. */
const KEPT = /^(?:[A-Za-z][A-Za-z_.-]{0,31}|v\d{1,4}(?:\.\d{1,3})?)?$/;
