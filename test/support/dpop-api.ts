// An API that accepts only DPoP-bound tokens with a fresh proof (RFC 9449 4.3, 7, 9).
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { calculateJwkThumbprint, createRemoteJWKSet, EmbeddedJWK, type JWK, jwtVerify } from 'jose';
import { listenAtLoopback } from './loopback.ts';

export interface DpopApi {
  url: string;
  close(): Promise<void>;
}

/** Below this path, proofs need the API's nonce. */
export const NONCE_PATH = '/strict';

/** Responds 200, or 401 with the reason in the challenge. */
export async function startDpopApi(issuer: string, audience: string): Promise<DpopApi> {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  const nonce = randomBytes(16).toString('base64url');
  const seen = new Set<unknown>();
  let url = '';

  async function verifyRequest({ headers, method, url: path = '/' }: IncomingMessage): Promise<string | undefined> {
    const token = /^DPoP (\S+)$/.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) return 'invalid_token';
    if (typeof headers.dpop !== 'string') return 'invalid_dpop_proof';
    const { payload } = await jwtVerify<{ cnf?: { jkt?: string } }>(token, keys, { issuer, audience });
    const proof = await jwtVerify(headers.dpop, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['ES256'],
      maxTokenAge: 60,
    });
    const claims = proof.payload;
    const { jwk } = proof.protectedHeader as { jwk: JWK };
    if (payload.cnf?.jkt === undefined) return 'invalid_token';
    if (payload.cnf.jkt !== (await calculateJwkThumbprint(jwk)) || 'd' in jwk) return 'invalid_dpop_proof';
    if (claims.ath !== createHash('sha256').update(token).digest('base64url')) return 'invalid_dpop_proof';
    if (claims.htm !== method || claims.htu !== `${url}${path.split('?')[0]}`) return 'invalid_dpop_proof';
    if (claims.jti === undefined || seen.has(claims.jti)) return 'invalid_dpop_proof';
    seen.add(claims.jti);
    return path.startsWith(NONCE_PATH) && claims.nonce !== nonce ? 'use_dpop_nonce' : undefined;
  }

  const server = createServer(async (req, res) => {
    const error = await verifyRequest(req).catch(() => 'invalid_token');
    if (error === undefined) return void res.writeHead(200).end();
    const challenge = { 'www-authenticate': `DPoP error="${error}"` };
    res.writeHead(401, { ...challenge, ...(error === 'use_dpop_nonce' && { 'dpop-nonce': nonce }) }).end();
  });
  const loopback = await listenAtLoopback(server);
  url = loopback.url;
  return loopback;
}
