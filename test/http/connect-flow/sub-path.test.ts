// A public URL with a path, behind a proxy that strips it and behind one that does not.
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { parseConfig } from '../../../src/runtime/config.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { connect, connectionOf, createConnectSession, putIntegrationAt, visit } from '../../support/owner-browser.ts';

interface Deployment {
  proxy: Server;
  publicUrl: string;
  broker: TestBroker;
}

let provider: LocalProvider;
const deployments: Record<string, Deployment> = {};

async function deploy(strips: boolean): Promise<Deployment> {
  let target = '';
  const proxy = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '';
    if (!path.startsWith('/apps/keys/')) return void outgoing.writeHead(502).end();
    const { method, headers } = incoming;
    const to = new URL(target);
    const options = {
      host: to.hostname,
      port: to.port,
      method,
      headers,
      path: strips ? path.slice('/apps/keys'.length) : path,
    };
    const sent = request(options, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    incoming.pipe(sent);
  });
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  const publicUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/apps/keys`;
  const broker = await startTestBroker({ VALETKEY_PUBLIC_URL: `${publicUrl}/` });
  target = broker.url;
  return { proxy, publicUrl, broker: { ...broker, url: publicUrl } };
}

beforeAll(async () => {
  provider = await startProvider();
  for (const [name, strips] of [
    ['strips it', true],
    ['does not strip it', false],
  ] as const) {
    deployments[name] = await deploy(strips);
    await putIntegrationAt(deployments[name].broker, 'acme', provider);
  }
});
afterAll(async () => {
  for (const { proxy, broker } of Object.values(deployments)) {
    await broker.stop();
    proxy.closeAllConnections();
    proxy.close();
  }
  await provider.close();
});

describe.each(['strips it', 'does not strip it'])('behind a proxy that %s', (name) => {
  test('the whole connect flow stays below the path', async () => {
    const { broker, publicUrl } = deployments[name]!;
    const invited = await createConnectSession(broker);
    expect(invited.url).toMatch(`${publicUrl}/connect/`);
    const jar = createCookieJar();
    const page = await visit(invited.url, jar);
    expect(page.text).toContain('action="/apps/keys/connect/');
    expect(page.headers.get('set-cookie')).toContain('Path=/apps/keys/;');
    const end = await connect(broker, invited.url, { jar });
    expect([end.status, end.text.includes('is connected')]).toEqual([200, true]);
    const { id } = await connectionOf(broker, invited);
    const served = await fetch(`${publicUrl}/v1/connections/${id}/token`, {
      headers: { authorization: `Bearer ${broker.adminKey}` },
    });
    expect(served.status).toBe(200);
  });

  test.each(['/docs', '/connect/unknown', '/oauth2/callback/acme'])(
    'every link on %s leads somewhere',
    async (path) => {
      const { publicUrl } = deployments[name]!;
      const page = await visit(`${publicUrl}${path}`);
      const links = [...page.text.matchAll(/(?:href|src|action)="(\/[^"]*)"/g)].map(([, link]) => link!);
      expect(links.length).toBeGreaterThan(0);
      for (const link of new Set(links)) expect((await visit(new URL(link, publicUrl))).status, link).toBe(200);
    },
  );

  test('the description and the metadata name the path', async () => {
    const { publicUrl } = deployments[name]!;
    const described = (await (await fetch(`${publicUrl}/openapi.json`)).json()) as { servers: unknown };
    expect(described.servers).toEqual([{ url: '/apps/keys' }]);
    const metadata = await (await fetch(`${publicUrl}/.well-known/oauth-authorization-server`)).json();
    expect(metadata).toMatchObject({ issuer: publicUrl, token_endpoint: `${publicUrl}/oauth2/token` });
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
