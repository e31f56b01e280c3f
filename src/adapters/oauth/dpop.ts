// The keys that tokens are bound to (RFC 9449), one for each connection, and what proves to token endpoints that they
// are had. openid-client makes those proofs, and asks again where a nonce is wanted.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import * as client from 'openid-client';

/** Handles kept. Without the nonces that one has gathered, the next request is made twice; nothing worse. */
const MAX_HANDLES = 5_000;

export interface Binding {
  /** PKCS #8, PEM. */
  key: string;
  /** For the functions of openid-client that ask a token endpoint. */
  options: client.DPoPOptions;
}

/** With the key that was kept; undefined: with a new one. */
export type Bind = (config: client.Configuration, kept: string | undefined) => Binding;

export function createBind(): Bind {
  /** By a digest of the key. */
  const handles = new LRUCache<string, client.DPoPHandle>({ max: MAX_HANDLES });
  return (config, kept) => {
    const key = kept ?? newKey();
    const id = createHash('sha256').update(key).digest('base64');
    const handle = handles.get(id) ?? client.getDPoPHandle(config, keyPairOf(key));
    handles.set(id, handle);
    return { key, options: { DPoP: handle } };
  };
}

const newKey = (): string =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey;

const ES256 = { name: 'ECDSA', namedCurve: 'P-256' };

function keyPairOf(pem: string): client.CryptoKeyPair {
  const key = createPrivateKey(pem);
  return {
    privateKey: key.toCryptoKey(ES256, false, ['sign']),
    // Each proof shows it.
    publicKey: createPublicKey(key).toCryptoKey(ES256, true, ['verify']),
  };
}
