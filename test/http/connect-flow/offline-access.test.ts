// Offline access: what is asked for, what is recorded as asked, and connections that nothing can refresh.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../../../src/ports/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type OddProvider, startOddProvider } from '../../support/odd-provider.ts';
import { newOwner, putIntegration } from '../../support/owner-browser.ts';

let broker: TestBroker;
let provider: OddProvider;
const warnings: (Json & { message: string })[] = [];
const log: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => void warnings.push({ ...fields, message }),
  error() {},
};

beforeAll(async () => {
  [broker, provider] = await Promise.all([
    startTestBroker({}, undefined, { refreshAhead: false }, log),
    startOddProvider(),
  ]);
  const metadata = provider.metadata(provider.url, { scopes_supported: ['openid', 'email'] });
  provider.documents.set('/.well-known/openid-configuration', metadata);
});
afterAll(() => Promise.all([broker.stop(), provider.close()]));
beforeEach(() => {
  warnings.length = 0;
  answersWith({ refresh_token: 'rt-0123456789', expires_in: 3_600 });
});

/** The token endpoint's answer, with an ID token and no `scope`. */
function answersWith(more: Json) {
  provider.answer = () => ({
    body: { access_token: 'at-0123456789', token_type: 'Bearer', id_token: provider.idToken(), ...more },
  });
}

async function put(more: Json = {}) {
  const setup = {
    provider: 'generic-oidc',
    client_id: 'client',
    client_secret: 'a secret',
    params: { issuer: provider.url },
    ...more,
  };
  const { status, body } = await putIntegration(broker, 'acme', setup);
  expect(status, JSON.stringify(body)).toBeLessThan(300);
}

describe('offline_access that the provider does not list', () => {
  const NAMED = ['openid', 'offline_access'];

  test('is asked for and recorded when the admin named it, also where the defaults are the same', async () => {
    await put({ scopes: NAMED });
    const { asked, connection } = await provider.connect(broker);
    expect(asked).toMatchObject({ scope: 'openid offline_access', prompt: 'consent' });
    expect(connection).toMatchObject({ scopes: NAMED, reauth_due_at: null });
  });

  test('is asked for when the session named it', async () => {
    await put();
    const { asked, connection } = await provider.connect(broker, { scopes: [...NAMED, 'openid'] });
    expect(asked.scope).toBe('openid offline_access');
    expect(connection.scopes).toEqual(NAMED);
  });

  test('is neither asked for nor reported as granted when it came from the defaults', async () => {
    await put();
    const { asked, connection } = await provider.connect(broker);
    expect(asked).toMatchObject({ scope: 'openid' });
    expect(asked).not.toHaveProperty('prompt');
    expect(connection.scopes).toEqual(['openid']);
  });

  test('is asked for after the admin named what were the defaults before', async () => {
    await put();
    await put({ scopes: NAMED });
    expect((await provider.connect(broker)).asked.scope).toBe('openid offline_access');
  });
});

describe('a connection that nothing can refresh', () => {
  const noRefreshToken = expect.stringMatching(/no refresh token.*offline_access.*access_type=offline/);

  test('ends with its access token and is logged once, until a reconnect brings a refresh token', async () => {
    await put();
    answersWith({ expires_in: 3_600 });
    const owner = newOwner();
    const { connection } = await provider.connect(broker, { owner });
    expect(connection.reauth_due_at).toBe(connection.expires_at);
    expect(connection.next_refresh_at).toBeNull();
    expect(warnings).toMatchObject([
      { connection: connection.id, reauth_due_at: connection.expires_at, message: noRefreshToken },
    ]);
    answersWith({ expires_in: 3_600, refresh_token: 'rt-0123456789' });
    const again = await provider.connect(broker, { owner, connection_id: connection.id });
    expect(again.connection).toMatchObject({ id: connection.id, reauth_due_at: null });
    expect(warnings).toHaveLength(1);
  });

  test('has no end when its access token has none', async () => {
    await put();
    answersWith({});
    expect((await provider.connect(broker)).connection).toMatchObject({ expires_at: null, reauth_due_at: null });
    expect(warnings).toEqual([]);
  });

  test('ends with its access token when it is imported, and no longer after an import with a refresh token', async () => {
    await put();
    const owner = newOwner();
    const imported = async (credentials: Json, more: Json = {}) => {
      const answer = await broker.ask('POST', '/v1/connections', { integration: 'acme', owner, ...more, credentials });
      expect(answer.status, JSON.stringify(answer.body)).toBe(201);
      return answer.body;
    };
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    const connection = await imported({ access_token: 'at-0123456789', expires_at });
    expect(connection).toMatchObject({ expires_at, reauth_due_at: expires_at });
    expect(warnings).toMatchObject([{ connection: connection.id, message: noRefreshToken }]);
    const renewed = await imported(
      { access_token: 'at-0123456789', expires_at, refresh_token: 'rt-0123456789' },
      { connection_id: connection.id },
    );
    expect(renewed).toMatchObject({ id: connection.id, reauth_due_at: null });
    expect(warnings).toHaveLength(1);
  });
});
