// The signatures of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), checked with WebCrypto.

type Bytes = Uint8Array<ArrayBuffer>;

/** A key that may have signed: `v1` is HMAC-SHA256 with a secret, `v1a` Ed25519 with a public key. */
export interface VerificationKey {
  version: 'v1' | 'v1a';
  bytes: Bytes;
}

const PREFIXES = { whsec_: 'v1', whpk_: 'v1a' } as const;
const PUBLIC_KEY_BYTES = 32;

/** Reads `whsec_…` or `whpk_…`; undefined: it is neither. A secret without its prefix is accepted, as senders show it. */
export function parseKey(text: string): VerificationKey | undefined {
  const [prefix, version] = Object.entries(PREFIXES).find(([start]) => text.startsWith(start)) ?? ['', 'v1' as const];
  const bytes = decodeBase64(text.slice(prefix.length));
  if (bytes === undefined || bytes.length === 0) return undefined;
  return version === 'v1a' && bytes.length !== PUBLIC_KEY_BYTES ? undefined : { version, bytes };
}

/** `header`: signatures of either kind, separated by spaces. One that matches is enough; those of other kinds are ignored. */
export async function matchesAny(header: string, content: Bytes, keys: readonly VerificationKey[]): Promise<boolean> {
  for (const one of header.split(' ').slice(0, MAX_SIGNATURES)) {
    const comma = one.indexOf(',');
    const version = one.slice(0, comma);
    const signature = comma < 0 ? undefined : decodeBase64(one.slice(comma + 1));
    if (signature === undefined) continue;
    for (const key of keys) if (key.version === version && (await isSignature(key, signature, content))) return true;
  }
  return false;
}

/** No sender uses more keys at once, and each costs a computation. */
const MAX_SIGNATURES = 20;

const ALGORITHMS = { v1: { name: 'HMAC', hash: 'SHA-256' }, v1a: { name: 'Ed25519' } } as const;

/** In constant time: WebCrypto compares. False too where a runtime has no Ed25519. */
async function isSignature({ version, bytes }: VerificationKey, signature: Bytes, content: Bytes): Promise<boolean> {
  const algorithm = ALGORITHMS[version];
  try {
    const key = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify']);
    return await crypto.subtle.verify(algorithm.name, key, signature, content);
  } catch {
    return false;
  }
}

/** Undefined: it is not base64. */
function decodeBase64(text: string): Bytes | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** What is signed: `{id}.{timestamp}.{body}`, the body as it was received. */
export function signedContent(id: string, timestamp: string, body: Uint8Array): Bytes {
  const start = new TextEncoder().encode(`${id}.${timestamp}.`);
  const content = new Uint8Array(start.length + body.length);
  content.set(start);
  content.set(body, start.length);
  return content;
}
