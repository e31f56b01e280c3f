// A scripted authorization server on loopback: its metadata and the answers of its token endpoint are the test's, and it has
// no pages, since every owner consents.
import { generateKeyPairSync, sign } from 'node:crypto';
import { expect } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import type { Json, TestBroker } from './broker.ts';
import { callbackWithConsent, connectionOf, createConnectSession, openLink, visit } from './owner-browser.ts';
import { type ReceivedRequest, type ScriptedResponse, startScriptedServer } from './scripted-server.ts';

export interface OddProvider {
  url: string;
  /** By path: metadata documents, which the test may change. An unknown path is 404. */
  documents: Map<string, ScriptedResponse>;
  /** What the token endpoint answers. */
  answer: (form: URLSearchParams, request: ReceivedRequest) => ScriptedResponse;
  received: ReceivedRequest[];
  /** The requests to the token endpoint. */
  tokenRequests(): ReceivedRequest[];
  /** The members of metadata, for `documents`; more override them, and undefined removes one. */
  metadata(issuer: string, more?: Json): ScriptedResponse;
  /** An ID token for this client, signed by its key; a claim that is undefined is omitted. */
  idToken(claims?: Json): string;
  /** Goes through the connect flow of the integration as an owner who consents. */
  connect(broker: TestBroker, wanted?: Json, callback?: Record<string, string>): Promise<OddConnection>;
  close(): Promise<void>;
}

export interface OddConnection {
  /** The parameters of the authorization request. */
  asked: Record<string, string>;
  /** As `GET /v1/connections/{id}` shows it. */
  connection: Json;
}

export async function startOddProvider(): Promise<OddProvider> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  let nonce: string | undefined;
  const documents = new Map<string, ScriptedResponse>();
  const server = await startScriptedServer((request) => {
    const path = request.path.split('?')[0] ?? '';
    if (path === '/jwks') return { body: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1' }] } };
    if (path === '/revoke') return {};
    return path === '/token' ? provider.answer(request.form, request) : (documents.get(path) ?? { status: 404 });
  });
  const { url } = server;
  const provider: OddProvider = {
    url,
    documents,
    answer: () => ({ body: { access_token: 'at-0123456789', token_type: 'Bearer' } }),
    received: server.received,
    tokenRequests: () => server.received.filter(({ path }) => path.split('?')[0] === '/token'),
    metadata: (issuer, more = {}) => ({
      body: {
        issuer,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        jwks_uri: `${url}/jwks`,
        response_types_supported: ['code'],
        id_token_signing_alg_values_supported: ['ES256'],
        ...more,
      },
    }),
    idToken(claims = {}) {
      const iat = Math.floor(Date.now() / 1_000);
      const payload = { iss: url, sub: 'ada', aud: 'client', iat, exp: iat + 300, nonce, ...claims };
      const signed = [{ alg: 'ES256', kid: 'k1' }, payload].map(encoded).join('.');
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    },
    async connect(broker, wanted = {}, callback = {}) {
      const jar = createCookieJar();
      const invited = await createConnectSession(broker, wanted);
      const { location, text } = await openLink(invited.url, jar);
      expect(location, text).not.toBeNull();
      const asked = Object.fromEntries(new URL(location ?? '').searchParams);
      nonce = asked.nonce;
      const back = new URL(callbackWithConsent(location));
      for (const [name, value] of Object.entries(callback)) back.searchParams.set(name, value);
      const page = await visit(back, jar);
      expect(page.status, page.text).toBe(200);
      return { asked, connection: await connectionOf(broker, invited) };
    },
    close: server.close,
  };
  return provider;
}

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
