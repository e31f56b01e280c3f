// A broker that tests restart and kill: each start is a new process with the same database, keys and address. It uses a
// real provider.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningBroker, startBroker } from '../../demo/broker.ts';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { type Answer, ask, databaseIn, type Json } from './broker.ts';
import { bundled } from './bundle.ts';
import { clockAhead } from './clock-offset.ts';
import { mintRefreshToken } from './minted-grant.ts';
import { type ProviderProxy, startProviderProxy } from './provider-proxy.ts';

export const INTEGRATION = 'acme';

export interface RestartableBroker {
  folder: string;
  provider: LocalProvider;
  clientId: string;
  proxy: ProviderProxy;
  adminKey: string;
  /** A body for `PUT /v1/integrations/…`. */
  integrationBody: Json;
  /** The latest process. */
  current(): RunningBroker;
  /** Starts a process, at the address of the first unless `elsewhere`; its clock is `aheadMs` ahead. */
  start(options?: { aheadMs?: number; elsewhere?: boolean }): Promise<RunningBroker>;
  /** Sends a request to the latest process, as the admin or with another key. */
  ask(method: string, path: string, body?: unknown, key?: string): Promise<Answer>;
  /** As `ask`, and kills the process (SIGKILL) as soon as the response's headers are there. */
  askAndKill(method: string, path: string, body?: unknown): Promise<Answer>;
  /** As `askAndKill`, for any request. */
  sendAndKill(request: () => Promise<Response>): Promise<Answer>;
  /** Mints a refresh token at the provider. */
  mintRefreshToken(owner: string): Promise<string>;
  /** Imports a connection without an access token; returns its id. */
  importConnection(owner: string): Promise<string>;
  close(): Promise<void>;
}

interface RestartableBrokerOptions {
  empty?: boolean;
  /** Additional environment variables. */
  env?: Record<string, string>;
}

/** Starts one process and, unless `empty`, sets the integration up. */
export async function startRestartableBroker({
  empty = false,
  env = {},
}: RestartableBrokerOptions = {}): Promise<RestartableBroker> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-restartable-'));
  const provider = await startProvider();
  const proxy = await startProviderProxy(provider);
  const adminKey = randomBytes(32).toString('base64url');
  const started: RunningBroker[] = [];
  const database = await databaseIn(folder);
  const latest = () => started.at(-1)!;

  const start: RestartableBroker['start'] = async ({ aheadMs = 0, elsewhere = false } = {}) => {
    const first = started[0];
    const environment = {
      ...database,
      VALETKEY_ADMIN_KEY: adminKey,
      ...(first && !elsewhere && { VALETKEY_PORT: new URL(first.url).port }),
      ...env,
      ...(aheadMs > 0 && clockAhead(aheadMs)),
    };
    const broker = await startBroker(environment, await bundled('main'));
    started.push(broker);
    return broker;
  };

  const first = await start();
  const { clientId, clientSecret } = await provider.addClient([`${first.url}/oauth2/callback/${INTEGRATION}`]);
  const setup = {
    provider: 'generic-oidc',
    client_id: clientId,
    client_secret: clientSecret,
    params: { issuer: provider.issuer },
    overrides: proxy.overrides,
  };
  const restartable: RestartableBroker = {
    folder,
    provider,
    clientId,
    proxy: proxy,
    adminKey,
    integrationBody: setup,
    current: latest,
    start,
    ask: (method, path, body, key = adminKey) => ask(latest().url, key, method, path, body),
    askAndKill: (method, path, body) =>
      restartable.sendAndKill(() =>
        fetch(new URL(path, latest().url), {
          method,
          headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        }),
      ),
    async sendAndKill(request) {
      const response = await request();
      const gone = latest().stop('SIGKILL');
      const text = await response.text();
      await gone;
      const body = text.startsWith('{') ? (JSON.parse(text) as Json) : { text };
      return { status: response.status, headers: response.headers, body };
    },
    mintRefreshToken: (owner) => mintRefreshToken(provider, clientId, owner),
    async importConnection(owner) {
      const credentials = { refresh_token: await restartable.mintRefreshToken(owner) };
      const { body } = await restartable.ask('POST', '/v1/connections', {
        integration: INTEGRATION,
        owner,
        credentials,
      });
      return String(body.id);
    },
    async close() {
      await Promise.all(started.map((broker) => broker.stop('SIGKILL')));
      await proxy.close();
      await provider.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  if (!empty) await restartable.ask('PUT', `/v1/integrations/${INTEGRATION}`, setup);
  return restartable;
}
