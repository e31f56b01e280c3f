// An API that takes only tokens that are bound to a key, each time with a new proof of it (RFC 9449 4.3, 7, 9).
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { calculateJwkThumbprint, createRemoteJWKSet, EmbeddedJWK, type JWK, jwtVerify } from 'jose';

export interface BoundApi {
  url: string;
  close(): Promise<void>;
}

/** For what is below it, a proof must hold the nonce that the API sends. */
export const STRICT = '/strict';

/** Answers 200, or 401 with the reason in the challenge. */
export async function startBoundApi(issuer: string, audience: string): Promise<BoundApi> {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  const nonce = randomBytes(16).toString('base64url');
  const seen = new Set<unknown>();
  let url = '';

  async function judge({ headers, method, url: path = '/' }: IncomingMessage): Promise<string | undefined> {
    const token = /^DPoP (\S+)$/.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) return 'invalid_token';
    if (typeof headers.dpop !== 'string') return 'invalid_dpop_proof';
    const { payload } = await jwtVerify<{ cnf?: { jkt?: string } }>(token, keys, { issuer, audience });
    const proof = await jwtVerify(headers.dpop, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['ES256'],
      maxTokenAge: 60,
    });
    const said = proof.payload;
    const { jwk } = proof.protectedHeader as { jwk: JWK };
    if (payload.cnf?.jkt === undefined) return 'invalid_token';
    if (payload.cnf.jkt !== (await calculateJwkThumbprint(jwk)) || 'd' in jwk) return 'invalid_dpop_proof';
    if (said.ath !== createHash('sha256').update(token).digest('base64url')) return 'invalid_dpop_proof';
    if (said.htm !== method || said.htu !== `${url}${path.split('?')[0]}`) return 'invalid_dpop_proof';
    if (said.jti === undefined || seen.has(said.jti)) return 'invalid_dpop_proof';
    seen.add(said.jti);
    return path.startsWith(STRICT) && said.nonce !== nonce ? 'use_dpop_nonce' : undefined;
  }

  const server = createServer(async (req, res) => {
    const error = await judge(req).catch(() => 'invalid_token');
    if (error === undefined) return void res.writeHead(200).end();
    const challenge = { 'www-authenticate': `DPoP error="${error}"` };
    res.writeHead(401, { ...challenge, ...(error === 'use_dpop_nonce' && { 'dpop-nonce': nonce }) }).end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
