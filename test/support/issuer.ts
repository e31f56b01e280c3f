// An issuer of JWTs, as a platform has one: metadata and keys over HTTP, and tokens as a test wants them.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { startScriptedServer } from './scripted-server.ts';

export interface Issuer {
  url: string;
  /** How often its metadata and keys were asked for. */
  asked(): number;
  /** A good one for `valetkey` and a minute, unless told otherwise; a claim that is undefined is left out. */
  sign(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: KeyObject): Promise<string>;
  close(): Promise<void>;
}

/** Its tokens are issued at the time of `now`, ms. */
export async function startIssuer(now: () => number = Date.now): Promise<Issuer> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  let asked = 0;
  const server = await startScriptedServer(({ path }) => {
    asked++;
    if (path === '/jwks') return { body: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1' }] } };
    if (path !== '/.well-known/openid-configuration') return { status: 404 };
    const { url } = server;
    return {
      body: { issuer: url, jwks_uri: `${url}/jwks`, authorization_endpoint: url, token_endpoint: `${url}/token` },
    };
  });
  return {
    url: server.url,
    asked: () => asked,
    sign(claims = {}, header = {}, key = privateKey) {
      const iat = Math.floor(now() / 1_000);
      const payload = { iss: server.url, sub: 'someone', aud: 'valetkey', iat, exp: iat + 60, ...claims };
      return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k1', ...header }).sign(key);
    },
    close: () => server.close(),
  };
}
