// JWT issuers on loopback, and signing of any header and claims, also those that libraries refuse to sign.
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Json } from './broker.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from './scripted-server.ts';

export interface SigningKey {
  alg: string;
  kid: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** The public key, as in a key set. */
  jwk: Json;
}

export function createSigningKey(
  kid: string,
  alg: 'ES256' | 'RS256' | 'EdDSA' = 'ES256',
  modulusLength = 2_048,
): SigningKey {
  const pair =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : alg === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength });
  return { alg, kid, ...pair, jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid } };
}

/** Signs with a key (RSA keys sign RS256) or a secret (HS256), or uses these bytes. */
type Signature = SigningKey | { secret: string | Buffer } | Buffer;

function signatureOf(input: string, by: Signature): Buffer {
  if (Buffer.isBuffer(by)) return by;
  if ('secret' in by) return createHmac('sha256', by.secret).update(input).digest();
  const key = { key: by.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return sign(by.alg === 'EdDSA' ? null : 'sha256', Buffer.from(input), key);
}

const part = (content: object | string | Buffer) =>
  Buffer.from(typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content)).toString(
    'base64url',
  );

/** Header and claims as they are given: objects as JSON, text and bytes untouched. */
export function jwt(header: object | string, claims: object | string | Buffer, by: Signature): string {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${signatureOf(input, by).toString('base64url')}`;
}

/** `<url>/<name>` is the issuer, with the keys of that name; what `others` says of a path goes first. */
export async function startIssuers(
  keys: Record<string, Json[]>,
  overrides: (path: string) => ScriptedResponse | undefined = () => undefined,
): Promise<ScriptedServer & { urlOf(name: string): string }> {
  const server = await startScriptedServer(({ path }) => {
    const override = overrides(path);
    if (override) return override;
    const [, name = '', document = ''] = /^\/(\w+)\/(.*)$/.exec(path) ?? [];
    const issuer = `${server.url}/${name}`;
    if (document === 'jwks') return { body: { keys: keys[name] ?? [] } };
    if (document !== '.well-known/openid-configuration' || !keys[name]) return { status: 404 };
    return { body: { issuer, jwks_uri: `${issuer}/jwks` } };
  });
  return { ...server, urlOf: (name) => `${server.url}/${name}` };
}
