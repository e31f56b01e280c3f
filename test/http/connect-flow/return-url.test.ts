// Which return_url is allowed: only origins that the deployment names (RFC 9700 4.11).
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { newOwner, putIntegration } from '../../support/owner-browser.ts';

/** No browser goes to this provider. */
const setup = {
  provider: 'generic-oauth2',
  client_id: 'client',
  params: { authorization_url: 'https://id.example/authorize', token_url: 'https://id.example/token' },
};

let broker: TestBroker;

beforeAll(async () => {
  broker = await startTestBroker(
    {
      VALETKEY_PUBLIC_URL: 'https://broker.example',
      VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
    },
    { return_origins: ['https://everywhere.example'] },
  );
  await putIntegration(broker, 'acme', {
    ...setup,
    return_origins: ['https://app.example', 'http://intranet.example:8443'],
  });
  await putIntegration(broker, 'other', setup);
});
afterAll(() => broker.stop());

const inviteTo = (return_url: string, integration = 'acme') =>
  broker.ask('POST', '/v1/connect-sessions', { integration, owner: newOwner(), return_url });

describe('a return_url is allowed', () => {
  test.each([
    ['of an origin of the integration', 'https://app.example/done?tab=2#end'],
    ['of an origin of the integration without a path', 'https://app.example'],
    ['with the default port written out', 'https://app.example:443/done'],
    ['in capitals', 'HTTPS://APP.example/done'],
    ['of an http origin of the integration', 'http://intranet.example:8443/'],
    ['of an origin of the configuration', 'https://everywhere.example/x'],
    ["of the broker's own origin", 'https://broker.example/x'],
    ['with another URL in its query', 'https://app.example/done?next=https://evil.example'],
    ['with a path that looks like a URL', 'https://app.example//evil.example/@evil.example'],
  ])('%s', async (_, url) => {
    expect((await inviteTo(url)).status).toBe(201);
  });
});

describe('a return_url is a 400 that names it', () => {
  test.each([
    ['of a foreign origin', 'https://evil.example/done'],
    ['of another port', 'https://app.example:8443/done'],
    ['of another scheme', 'http://app.example/done'],
    ['of a subdomain', 'https://evil.app.example/done'],
    ['of a parent domain', 'https://example/done'],
    ['that begins like an allowed one', 'https://app.example.evil.example/done'],
    ['that ends like an allowed one', 'https://evil-app.example/done'],
    ['with a dot after the host', 'https://app.example./done'],
    ['with letters of another script', 'https://аpp.example/done'],
    ['without a scheme', '//evil.example/done'],
    ['that is only a path', '/done'],
    ['that is only a path with backslashes', '/\\evil.example'],
    ['with the scheme javascript', 'javascript:alert(document.domain)'],
    ['with the scheme javascript before an allowed origin', 'javascript://app.example/%0aalert(1)'],
    ['with the scheme data', 'data:text/html,<script>alert(1)</script>'],
    ['that is a blob of an allowed origin', 'blob:https://app.example/2e0c2f7e'],
    ['with the scheme file', 'file:///etc/passwd'],
    ['with the scheme of an app', 'app.example://done'],
    ['with an allowed origin as the user', 'https://app.example@evil.example/done'],
    ['with an allowed origin as user and password', 'https://app.example:443@evil.example/done'],
    ['with a user at an allowed origin', 'https://user@app.example/done'],
    ['with a user and a password at an allowed origin', 'https://user:password@app.example/done'],
    ['with backslashes for slashes', 'https:\\\\evil.example/done'],
    ['with a backslash before the @', 'https://evil.example\\@app.example/done'],
    ['with a backslash after an allowed host', 'https://app.example\\@evil.example/done'],
    ['with a tab in the scheme', 'java\tscript:alert(1)'],
    ['with a line break', 'https://app.example/done\r\nSet-Cookie: a=b'],
    ['with a null character', 'https://app.example\u0000.evil.example/'],
    ['of a loopback host, where the broker is public', 'http://127.0.0.1:3000/done'],
    ['that is not a URL', 'done'],
    ['that is empty', ''],
  ])('%s', async (_, url) => {
    const { status, body } = await inviteTo(url);
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: 'invalid_request' });
    expect(body.issues).toEqual([{ path: 'return_url', message: expect.any(String) }]);
  });

  test("of another integration's origin", async () => {
    expect((await inviteTo('https://app.example/done', 'other')).status).toBe(400);
    expect((await inviteTo('https://everywhere.example/done', 'other')).status).toBe(201);
  });
});

describe('return_origins of an integration', () => {
  test.each(['https://app.example/', 'https://app.example/path', 'app.example', 'javascript:'])(
    'are origins and nothing else: %s is a 400',
    async (origin) => {
      const { status, body } = await putIntegration(broker, 'wrong', { ...setup, return_origins: [origin] });
      expect(status).toBe(400);
      expect(JSON.stringify(body.issues)).toContain('return_origins');
    },
  );
});

test('return_origins: a wildcard is a 400, since it would match nothing', async () => {
  const starred = { ...setup, return_origins: ['https://*.example'] };
  const { status, body } = await broker.ask('PUT', '/v1/integrations/starred', starred);
  expect(status).toBe(400);
  expect(body.issues).toMatchObject([{ path: 'return_origins.0' }]);
});

describe('a broker at a loopback address', () => {
  let local: TestBroker;
  beforeAll(async () => {
    local = await startTestBroker();
    await putIntegration(local, 'acme', setup);
  });
  afterAll(() => local.stop());

  test.each([
    ['http://localhost:3000/done', 201],
    ['http://127.0.0.1:3000/done', 201],
    ['http://[::1]:3000/done', 201],
    ['http://127.0.0.1.evil.example/done', 400],
    ['http://localhost.evil.example/done', 400],
    ['http://localhost@evil.example/done', 400],
    ['https://app.example/done', 400],
  ])('answers %s with %i', async (return_url, expected) => {
    const wanted = { integration: 'acme', owner: newOwner(), return_url };
    expect((await local.ask('POST', '/v1/connect-sessions', wanted)).status).toBe(expected);
  });
});
