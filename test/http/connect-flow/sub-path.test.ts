// A public URL with a path, behind a proxy that strips it and behind one that does not.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { parseConfig } from '../../../src/runtime/config.ts';
import type { TestBroker } from '../../support/broker.ts';
import { connect, connectionOf, createConnectSession, putIntegrationAt, visit } from '../../support/owner-browser.ts';
import { startBelowSubPath } from '../../support/sub-path.ts';

let provider: LocalProvider;
const brokers: Record<string, TestBroker> = {};

beforeAll(async () => {
  provider = await startProvider();
  for (const [name, strips] of [
    ['strips it', true],
    ['does not strip it', false],
  ] as const) {
    brokers[name] = await startBelowSubPath({ strips });
    await putIntegrationAt(brokers[name], 'acme', provider);
  }
});
afterAll(async () => {
  for (const broker of Object.values(brokers)) await broker.stop();
  await provider.close();
});

describe.each(['strips it', 'does not strip it'])('behind a proxy that %s', (name) => {
  test('the whole connect flow stays below the path', async () => {
    const broker = brokers[name]!;
    const invited = await createConnectSession(broker);
    expect(invited.url).toMatch(`${broker.url}/connect/`);
    const jar = createCookieJar();
    const page = await visit(invited.url, jar);
    expect(page.text).toContain('action="/apps/keys/connect/');
    expect(page.headers.get('set-cookie')).toContain('Path=/apps/keys/;');
    const end = await connect(broker, invited.url, { jar });
    expect([end.status, end.text.includes('is connected')]).toEqual([200, true]);
    const { id } = await connectionOf(broker, invited);
    const served = await fetch(`${broker.url}/v1/connections/${id}/token`, {
      headers: { authorization: `Bearer ${broker.adminKey}` },
    });
    expect(served.status).toBe(200);
  });

  test.each(['/docs', '/connect/unknown', '/oauth2/callback/acme'])(
    'every link on %s leads somewhere',
    async (path) => {
      const { url } = brokers[name]!;
      const page = await visit(`${url}${path}`);
      const links = [...page.text.matchAll(/(?:href|src|action)="(\/[^"]*)"/g)].map(([, link]) => link!);
      expect(links.length).toBeGreaterThan(0);
      for (const link of new Set(links)) expect((await visit(new URL(link, url))).status, link).toBe(200);
    },
  );

  test('the description and the metadata name the path', async () => {
    const { url } = brokers[name]!;
    const described = (await (await fetch(`${url}/openapi.json`)).json()) as { servers: unknown };
    expect(described.servers).toEqual([{ url: '/apps/keys' }]);
    const metadata = await (await fetch(`${url}/.well-known/oauth-authorization-server`)).json();
    expect(metadata).toMatchObject({ issuer: url, token_endpoint: `${url}/oauth2/token` });
  });

  test('a client finds the metadata by the issuer (RFC 8414 3.1: the path comes last)', async () => {
    const { url } = brokers[name]!;
    const { origin, pathname } = new URL(url);
    const inserted = `${origin}/.well-known/oauth-authorization-server${pathname}`;
    expect(await (await fetch(inserted)).json()).toMatchObject({ issuer: url });
    expect((await fetch(`${inserted}/other`)).status).toBe(404);
  });
});

describe('a public URL', () => {
  const issues = (url: string) => {
    const parsed = parseConfig({ VALETKEY_PUBLIC_URL: url }, () => '{}');
    return parsed.ok ? [] : parsed.issues.filter((issue) => issue.startsWith('VALETKEY_PUBLIC_URL'));
  };

  test.each(['https://x.example', 'https://x.example/', 'https://x.example/keys', 'https://x.example/a/b_c-d.~/'])(
    '%s is taken',
    (url) => expect(issues(url)).toEqual([]),
  );
  test.each([
    'https://x.example/v1',
    'https://x.example/connect/keys',
    'https://x.example/a%2fb',
    'https://x.example/a//b',
  ])('%s is refused by name', (url) => expect(issues(url)).toHaveLength(1));
});
