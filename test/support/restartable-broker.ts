// A broker that goes down and comes up again on what it left behind: the same database, keys and address, in processes of
// their own, before a real provider.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningBroker, startBroker } from '../../demo/broker.ts';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { type Answer, ask, databaseIn, type Json } from './broker.ts';
import { bundled } from './bundle.ts';
import { mintRefreshToken } from './minted-grant.ts';
import { type ProviderProxy, startProviderProxy } from './provider-proxy.ts';

export const INTEGRATION = 'acme';

export interface RestartableBroker {
  folder: string;
  provider: LocalProvider;
  clientId: string;
  front: ProviderProxy;
  adminKey: string;
  /** What is needed for `PUT /v1/integrations/…`. */
  setup: Json;
  /** The process that was started last. */
  broker(): RunningBroker;
  /** Starts one, at the address of the first unless `elsewhere`; its clock shows `aheadMs` more than ours. */
  start(options?: { aheadMs?: number; elsewhere?: boolean }): Promise<RunningBroker>;
  /** Asks the one that was started last, as the admin or with another key. */
  ask(method: string, path: string, body?: unknown, key?: string): Promise<Answer>;
  /** The same, and `kill -9` as soon as the head of the answer is there. */
  lastWord(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The same for any request. */
  killedBy(request: () => Promise<Response>): Promise<Answer>;
  /** A refresh token from the provider. */
  mint(owner: string): Promise<string>;
  /** A connection by import, without an access token; its id. */
  adopt(owner: string): Promise<string>;
  close(): Promise<void>;
}

interface HouseOptions {
  empty?: boolean;
  /** More of the environment. */
  env?: Record<string, string>;
}

/** With one broker running and, unless `empty`, the integration set up. */
export async function openRestartableBroker({
  empty = false,
  env = {},
}: HouseOptions = {}): Promise<RestartableBroker> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-house-'));
  const provider = await startProvider();
  const front = await startProviderProxy(provider);
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
      ...(aheadMs > 0 && { NODE_OPTIONS: `--import=${clockAhead(aheadMs)}` }),
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
    overrides: front.overrides,
  };
  const house: RestartableBroker = {
    folder,
    provider,
    clientId,
    front,
    adminKey,
    setup,
    broker: latest,
    start,
    ask: (method, path, body, key = adminKey) => ask(latest().url, key, method, path, body),
    lastWord: (method, path, body) =>
      house.killedBy(() =>
        fetch(new URL(path, latest().url), {
          method,
          headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        }),
      ),
    async killedBy(request) {
      const response = await request();
      const gone = latest().stop('SIGKILL');
      const text = await response.text();
      await gone;
      const body = text.startsWith('{') ? (JSON.parse(text) as Json) : { text };
      return { status: response.status, headers: response.headers, body };
    },
    mint: (owner) => mintRefreshToken(provider, clientId, owner),
    async adopt(owner) {
      const credentials = { refresh_token: await house.mint(owner) };
      const { body } = await house.ask('POST', '/v1/connections', { integration: INTEGRATION, owner, credentials });
      return String(body.id);
    },
    async close() {
      await Promise.all(started.map((broker) => broker.stop('SIGKILL')));
      await front.close();
      await provider.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  if (!empty) await house.ask('PUT', `/v1/integrations/${INTEGRATION}`, setup);
  return house;
}

/** Loaded into a process before anything else: its clock is wrong by so many milliseconds from its first line on. */
const clockAhead = (ms: number) =>
  `data:text/javascript,${encodeURIComponent(`const now=Date.now;Date.now=()=>now.call(Date)+${ms}`)}`;
