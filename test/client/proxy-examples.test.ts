// The service of docs/proxy.md, as it stands there: against an API that expires its token, limits it and is down for a moment.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import { startTestSetup } from '../support/broker-setup.ts';
import { createFolder } from '../support/entries.ts';
import { ROOT } from '../support/image.ts';

const page = readFileSync(join(ROOT, 'docs/proxy.md'), 'utf8');
const [, service = ''] = /```js\n([\s\S]*?)```/.exec(page) ?? [];
const client = pathToFileURL(join(ROOT, 'src/client/index.ts')).href;

/** The generic entry, with lists that go on as those of the service do. */
const { $schema: _, ...generic } = JSON.parse(readFileSync(join(ROOT, 'src/catalogue/generic-oidc.json'), 'utf8'));
const entry = { ...generic, id: 'acme-repos', api: { pagination: { style: 'link_header' } } };

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

test('docs/proxy.md: the service lists all repositories, through a 401, a limit and an outage, and sees no token', async () => {
  expect(service.split('\n').filter((line) => line !== '')).toHaveLength(10);

  const setup = await startTestSetup({ VALETKEY_PROVIDERS_DIR: createFolder({ 'acme-repos.json': entry }) });
  const { broker, provider } = setup;
  const api = await startRepositories();
  mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'node_modules/.cache/proxy-example-'));
  try {
    const body = {
      ...setup.integrationBody,
      provider: 'acme-repos',
      overrides: { ...setup.proxy.overrides, api_base_url: api.url },
    };
    expect((await broker.ask('PUT', '/v1/integrations/github', body)).status).toBe(201);
    await setup.importConnection('ada', {}, { integration: 'github' });
    const grants = [
      { actions: ['proxy'], integrations: ['github'], owners: ['*'], methods: ['GET'], paths: ['/user/*'] },
      { actions: ['connections:write'], integrations: ['github'], owners: ['*'] },
    ];
    const caller = await broker.ask('POST', '/v1/callers', { name: 'repositories', grants });
    vi.stubEnv('VALETKEY_URL', broker.url);
    vi.stubEnv('VALETKEY_KEY', String(caller.body.key));
    vi.stubEnv('OWNER', 'ada');

    const printed: string[] = [];
    vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
    /** All that the service is sent. */
    const seen: string[] = [];
    const { fetch } = globalThis;
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const response = await fetch(input, init);
      if (String(input).startsWith(broker.url))
        seen.push(await response.clone().text(), JSON.stringify([...response.headers]));
      return response;
    });
    const run = async (name: string) => {
      const file = join(folder, name);
      writeFileSync(file, service.replace("'@valetkey/client'", `'${client}'`));
      printed.length = 0;
      await import(/* @vite-ignore */ pathToFileURL(file).href);
    };

    await run('first.mjs');
    expect(printed).toEqual(['ada/one', 'ada/two', 'ada/three', 'ada/four']);
    expect(api.answered).toEqual([
      'page 1: 401',
      'page 1: 200',
      'page 2: 429',
      'page 2: 200',
      'page 3: 503',
      'page 3: 503',
      'page 3: 200',
      'page 4: 200',
    ]);
    const { tokens } = api;
    expect([tokens.size, setup.refreshCount()]).toEqual([2, 2]);
    expect(seen.length).toBeGreaterThan(8);

    // The owner withdraws the grant, and the API accepts no token of it any more.
    provider.withdrawGrants();
    api.rejectAll();
    await run('second.mjs');
    expect(printed).toEqual([expect.stringContaining(`Connect your account again: ${broker.url}/connect/`)]);
    for (const token of tokens) expect(seen.join('\n')).not.toContain(token);
  } finally {
    rmSync(folder, { recursive: true });
    await api.close();
    await setup.close();
  }
}, 60_000);

/** Four pages, each with its own trouble. */
async function startRepositories() {
  const NAMES = ['one', 'two', 'three', 'four'];
  const tokens = new Set<string>();
  const answered: string[] = [];
  let isRejecting = false;
  const troubles: Record<string, number[]> = { 1: [401], 2: [429], 3: [503, 503] };

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', api.url);
    const number = url.searchParams.get('page') ?? '1';
    tokens.add(request.headers.authorization?.replace('Bearer ', '') ?? 'none');
    const status = isRejecting ? 401 : (troubles[number]?.shift() ?? 200);
    answered.push(`page ${number}: ${status}`);
    if (status === 429) response.setHeader('retry-after', '1');
    if (status !== 200) return void response.writeHead(status).end();
    if (number !== '4')
      response.setHeader('link', `<${api.url}/user/repos?per_page=100&page=${Number(number) + 1}>; rel="next"`);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify([{ full_name: `ada/${NAMES[Number(number) - 1]}` }]));
  }

  const server = createServer(answer);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const api = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`,
    tokens,
    answered,
    rejectAll() {
      isRejecting = true;
    },
    close: () =>
      new Promise<void>((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
  return api;
}
