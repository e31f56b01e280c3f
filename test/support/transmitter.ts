// A provider with an issuer, keys and a token endpoint, that signs security events and logout tokens.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import type { Json } from './broker.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

export interface Transmitter {
  url: string;
  server: ScriptedServer;
  sign(claims: Json, header?: Json): Promise<string>;
  /** An SSF event about this subject, for this client. */
  event(type: string, aud: string, sub: string, claims?: Json): Promise<string>;
  close(): Promise<void>;
}

let made = 0;

export async function startTransmitter(): Promise<Transmitter> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const server = await startScriptedServer(({ path }) => {
    const { url } = server;
    if (path === '/jwks') return { body: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1' }] } };
    if (path === '/token')
      return { body: { access_token: randomBytes(9).toString('hex'), token_type: 'Bearer', expires_in: 3_600 } };
    if (!path.endsWith('/openid-configuration')) return { status: 404 };
    const endpoints = { authorization_endpoint: `${url}/authorize`, token_endpoint: `${url}/token` };
    return { body: { issuer: url, jwks_uri: `${url}/jwks`, ...endpoints } };
  });
  const sign = (claims: Json, header: Json = {}) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header }).sign(privateKey);
  return {
    url: server.url,
    server,
    sign,
    event: (type, aud, sub, claims = {}) => {
      const sub_id = { format: 'iss_sub', iss: server.url, sub };
      const iat = Math.floor(Date.now() / 1_000) + 1;
      const set = { iss: server.url, aud, iat, jti: `jti-${++made}`, sub_id, events: { [type]: {} }, ...claims };
      return sign(set, { typ: 'secevent+jwt' });
    },
    close: server.close,
  };
}

export const pushEvent = (url: string, integration: string, token: string): Promise<Response> =>
  fetch(`${url}/signals/${integration}`, {
    method: 'POST',
    headers: { 'content-type': 'application/secevent+jwt' },
    body: token,
  });
