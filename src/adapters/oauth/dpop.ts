// DPoP (RFC 9449) towards token endpoints: one key per connection. openid-client makes the proofs, and repeats a request
// for which the server wants a nonce.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import * as client from 'openid-client';
import { upTo } from '../../domain/cache-bounds.ts';

/** An evicted handle only loses its nonces: its next request is sent twice. */
const MAX_HANDLES = 5_000;

export interface DpopBinding {
  /** PKCS #8, PEM. */
  key: string;
  /** For those functions of openid-client that call a token endpoint. */
  options: client.DPoPOptions;
}

export interface DpopKeys {
  /** Binds requests to the stored key (PKCS #8, PEM), or to a new one when there is none yet. */
  bind(config: client.Configuration, storedKey: string | undefined): DpopBinding;
}

export function createDpopKeys(): DpopKeys {
  /** By a digest of the key. */
  const handles = new LRUCache<string, client.DPoPHandle>(upTo(MAX_HANDLES));
  return {
    bind(config, storedKey) {
      const key = storedKey ?? generateKey();
      const id = createHash('sha256').update(key).digest('base64');
      const handle = handles.get(id) ?? client.getDPoPHandle(config, keyPairOf(key));
      handles.set(id, handle);
      return { key, options: { DPoP: handle } };
    },
  };
}

const generateKey = (): string =>
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
    // Extractable, since each proof contains it.
    publicKey: createPublicKey(key).toCryptoKey(ES256, true, ['verify']),
  };
}
