// A JWT issuer, as a platform has one: metadata and keys over HTTP, and tokens with any claims.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { startScriptedServer } from './scripted-server.ts';

export interface Issuer {
  url: string;
  /** The number of requests for its metadata and keys. */
  requestCount(): number;
  /** Signs a token, by default a valid one for `valetkey` for a minute; a claim that is undefined is omitted. */
  sign(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: KeyObject): Promise<string>;
  close(): Promise<void>;
}

/** `now` is the time of issue, in ms. */
export async function startIssuer(now: () => number = Date.now): Promise<Issuer> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  let requests = 0;
  const server = await startScriptedServer(({ path }) => {
    requests++;
    if (path === '/jwks') return { body: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1' }] } };
    if (path !== '/.well-known/openid-configuration') return { status: 404 };
    const { url } = server;
    return {
      body: { issuer: url, jwks_uri: `${url}/jwks`, authorization_endpoint: url, token_endpoint: `${url}/token` },
    };
  });
  return {
    url: server.url,
    requestCount: () => requests,
    sign(claims = {}, header = {}, key = privateKey) {
      const iat = Math.floor(now() / 1_000);
      const payload = { iss: server.url, sub: 'someone', aud: 'valetkey', iat, exp: iat + 60, ...claims };
      return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k1', ...header }).sign(key);
    },
    close: () => server.close(),
  };
}
