// A minimal provider: a token endpoint that always succeeds, after `LATENCY_MS`, and an issuer with one RS256 key.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { answerTo } from './remote.ts';

const KID = 'bench';
const LATENCY_MS = Number(process.env.LATENCY_MS ?? 0);
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const signAsync = promisify<string, Buffer, typeof privateKey, Buffer>(sign);
const run = randomBytes(24).toString('base64url');
let issued = 0;

const server = createServer((request, response) => {
  const json = (value: object) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (request.url === '/token') {
    request
      .on('end', () => {
        const n = ++issued;
        const answer = {
          access_token: `at-${run}-${n}`,
          token_type: 'Bearer',
          expires_in: 3_600,
          refresh_token: `rt-${run}-${n}`,
        };
        if (LATENCY_MS === 0) json(answer);
        else setTimeout(json, LATENCY_MS, answer);
      })
      .resume();
  } else if (request.url === '/jwks') {
    json({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: KID, alg: 'RS256', use: 'sig' }] });
  } else {
    json({
      issuer: url,
      jwks_uri: `${url}/jwks`,
      token_endpoint: `${url}/token`,
      authorization_endpoint: `${url}/authorize`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    });
  }
});
server.keepAliveTimeout = 60_000;
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function token(n: number): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const claims = { iss: url, aud: 'bench', sub: `user_${n}`, jti: `${run}-${n}`, iat: now, exp: now + 3_600 };
  const signed = `${encoded({ alg: 'RS256', typ: 'JWT', kid: KID })}.${encoded({ ...claims, scope: 'openid profile' })}`;
  return `${signed}.${(await signAsync('sha256', Buffer.from(signed), privateKey)).toString('base64url')}`;
}

const handlers = {
  url: (_: null): string => url,
  /** `count` JWTs, all distinct. */
  async tokens(count: number): Promise<string[]> {
    const first = issued;
    issued += count;
    return Promise.all(Array.from({ length: count }, (_, i) => token(first + i)));
  },
};
export type Provider = typeof handlers;
answerTo(handlers);
