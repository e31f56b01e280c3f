// Invalid ID tokens: nothing is connected (OpenID Connect Core 3.1.3.7).
import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import {
  type HostileProvider,
  startHostileProvider,
  withAlgNone,
  withOtherClaims,
} from '../../support/hostile-provider.ts';
import {
  connectUntilCallback,
  expectErrorPage,
  expectNoConnection,
  putIntegration,
  visit,
} from '../../support/owner-browser.ts';

const random = 'A'.repeat(43);

let broker: TestBroker;
let hostileProvider: HostileProvider;

beforeAll(async () => {
  [broker, hostileProvider] = await Promise.all([startTestBroker(), startHostileProvider()]);
  await putIntegration(broker, 'acme', {
    provider: 'generic-oidc',
    client_id: 'client',
    client_secret: 'client-secret',
    params: { issuer: hostileProvider.issuer },
  });
});
afterAll(() => Promise.all([broker.stop(), hostileProvider.close()]));

describe('an ID token in the connect flow', () => {
  const soon = () => Math.floor(Date.now() / 1_000);

  async function expectRefused() {
    const { owner, jar, invited, callback } = await connectUntilCallback(broker);
    expectErrorPage(await visit(callback, jar), 502, 'invalid_answer', callback);
    await expectNoConnection(broker, owner, invited, { status: 'failed', error: 'invalid_id_token' });
  }

  test('that is valid is accepted', async () => {
    const { jar, callback } = await connectUntilCallback(broker);
    expect((await visit(callback, jar)).status).toBe(200);
  });

  test.each([
    ['of another flow (nonce)', { nonce: random }],
    ['without a nonce', { nonce: undefined }],
    ['for another client', { aud: 'another-client' }],
    ['of another issuer', { iss: 'https://attacker.example' }],
    ['that has expired', { exp: soon() - 3_600 }],
    ['without a subject', { sub: undefined }],
  ])('%s is refused', async (_, claims) => {
    hostileProvider.changeNextIdToken(({ payload }) => Object.assign(payload, claims));
    await expectRefused();
  });

  test('without a signature (alg none) is refused', async () => {
    hostileProvider.changeNextTokenResponse((body) =>
      Object.assign(body, { id_token: withAlgNone(String(body.id_token)) }),
    );
    await expectRefused();
  });

  test('with changed claims is refused', async () => {
    hostileProvider.changeNextTokenResponse((body) =>
      Object.assign(body, { id_token: withOtherClaims(String(body.id_token), { sub: 'admin' }) }),
    );
    await expectRefused();
  });

  const another = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  test.each([
    [
      'with another key under the kid of the right one',
      {},
      (text: string) => sign('sha256', Buffer.from(text), another),
    ],
    [
      'with another key under its own kid',
      { kid: 'another' },
      (text: string) => sign('sha256', Buffer.from(text), another),
    ],
    [
      'with a key in its own header',
      { kid: undefined, jwk: createPublicKey(another).export({ format: 'jwk' }) },
      (text: string) => sign('sha256', Buffer.from(text), another),
    ],
    [
      'with the client secret',
      { alg: 'HS256', kid: undefined },
      (text: string) => createHmac('sha256', 'client-secret').update(text).digest(),
    ],
  ])('signed %s is refused', async (_, header, signer) => {
    hostileProvider.changeNextTokenResponse((body) =>
      Object.assign(body, { id_token: resigned(String(body.id_token), header, signer) }),
    );
    await expectRefused();
  });
});

/** The same claims with a changed header, signed by `signer`. */
function resigned(jwt: string, change: object, signer: (text: string) => Buffer): string {
  const [header = '', claims = ''] = jwt.split('.');
  const changed = { ...JSON.parse(Buffer.from(header, 'base64url').toString()), ...change };
  const text = `${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${claims}`;
  return `${text}.${signer(text).toString('base64url')}`;
}
