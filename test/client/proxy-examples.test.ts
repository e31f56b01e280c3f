// The service of docs/proxy.md, as it stands there: with the catalogue's entry, against a vendor on loopback that expires its
// token, limits it, is down for a moment, and withdraws the grant.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import { startTestBroker } from '../support/broker.ts';
import { expectOk } from '../support/contract.ts';
import { ROOT } from '../support/image.ts';
import { listenAtLoopback } from '../support/loopback.ts';

const page = readFileSync(join(ROOT, 'docs/proxy.md'), 'utf8');
const [, service = ''] = /```js\n([\s\S]*?)```/.exec(page) ?? [];
const client = pathToFileURL(join(ROOT, 'src/client/index.ts')).href;

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

test('docs/proxy.md: the service lists all repositories, through a 401, a limit and an outage, and sees no token', async () => {
  expect(service.split('\n').filter((line) => line !== '')).toHaveLength(10);

  const vendor = await startVendor();
  const broker = await startTestBroker({}, undefined, { refreshAhead: false });
  mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'node_modules/.cache/proxy-example-'));
  try {
    const overrides = {
      token_url: `${vendor.url}/token`,
      userinfo_url: `${vendor.url}/api/user`,
      api_base_url: `${vendor.url}/api`,
    };
    const integration = {
      provider: 'github',
      client_id: 'app',
      client_secret: 'app-secret',
      params: { mode: 'github_app_user' },
      overrides,
    };
    expectOk(await broker.ask('PUT', '/v1/integrations/github', integration), 201);
    const connection = { integration: 'github', owner: 'ada', credentials: { refresh_token: 'refresh-0' } };
    expectOk(await broker.ask('POST', '/v1/connections', connection), 201);
    const grants = [
      { actions: ['proxy'], integrations: ['github'], owners: ['*'], methods: ['GET'], paths: ['/user/*'] },
      { actions: ['connections:write'], integrations: ['github'], owners: ['*'] },
    ];
    const caller = expectOk(await broker.ask('POST', '/v1/callers', { name: 'repositories', grants }), 201);
    vi.stubEnv('VALETKEY_URL', broker.url);
    vi.stubEnv('VALETKEY_KEY', String(caller.key));
    vi.stubEnv('OWNER', 'ada');

    const printed: string[] = [];
    vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
    /** All that the service is sent. */
    const seen: string[] = [];
    const { fetch } = globalThis;
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const response = await fetch(input, init);
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
    expect(vendor.answered).toEqual([
      'page 1: 401',
      'page 1: 200',
      'page 2: 429',
      'page 2: 200',
      'page 3: 503',
      'page 3: 503',
      'page 3: 200',
      'page 4: 200',
    ]);
    expect(vendor.issued).toHaveLength(2);

    vendor.withdraw();
    await run('second.mjs');
    expect(printed).toEqual([expect.stringContaining(`Connect your account again: ${broker.url}/connect/`)]);
    expect(seen.length).toBeGreaterThan(10);
    for (const token of vendor.issued) expect(seen.join('\n')).not.toContain(token);
  } finally {
    rmSync(folder, { recursive: true });
    await broker.stop();
    await vendor.close();
  }
}, 180_000);

/** A token endpoint with rotating refresh tokens, and four pages, each with its own trouble. */
async function startVendor() {
  const NAMES = ['one', 'two', 'three', 'four'];
  const troubles: Record<string, number[]> = { 1: [401], 2: [429], 3: [503, 503] };
  /** Access tokens; the last one is valid. */
  const issued: string[] = [];
  const answered: string[] = [];
  let isWithdrawn = false;

  const json = (response: ServerResponse, value: unknown) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };

  async function token(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await text(request));
    if (isWithdrawn || form.get('refresh_token') !== `refresh-${issued.length}`)
      return json(response, { error: 'bad_refresh_token' });
    issued.push(`access-token-of-ada-${issued.length + 1}`);
    const [access_token, refresh_token] = [issued.at(-1), `refresh-${issued.length}`];
    json(response, { access_token, refresh_token, token_type: 'bearer', scope: '', expires_in: 28_800 });
  }

  function repositories(url: URL, isAccepted: boolean, response: ServerResponse): void {
    const number = url.searchParams.get('page') ?? '1';
    const status = isAccepted ? (troubles[number]?.shift() ?? 200) : 401;
    answered.push(`page ${number}: ${status}`);
    if (status === 429) response.setHeader('retry-after', '1');
    if (status !== 200) return void response.writeHead(status).end();
    const next = `<${vendor.url}/api/user/repos?per_page=100&page=${Number(number) + 1}>; rel="next"`;
    if (number !== '4') response.setHeader('link', next);
    json(response, [{ full_name: `ada/${NAMES[Number(number) - 1]}` }]);
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', vendor.url);
    if (url.pathname === '/token') return void token(request, response);
    const isAccepted = !isWithdrawn && request.headers.authorization === `Bearer ${issued.at(-1)}`;
    if (url.pathname === '/api/user') return json(response, { id: 7, login: 'ada' });
    repositories(url, isAccepted, response);
  });
  const { url, close } = await listenAtLoopback(server);
  const vendor = {
    url,
    issued,
    answered,
    withdraw() {
      isWithdrawn = true;
    },
    close,
  };
  return vendor;
}
