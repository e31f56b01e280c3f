// A supervisor with two workers as processes, and clients whose connections are spread over both.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningBroker, startBroker } from '../../../demo/broker.ts';
import { ask, databaseIn, type Json } from '../../support/broker.ts';
import { bundled } from '../../support/bundle.ts';
import { startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

export interface Reply {
  /** 0: the connection was lost. */
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Json;
}

/** One connection that stays open, and so one worker. */
export interface Client {
  send(method: string, path: string, options?: { body?: unknown; key?: string }): Promise<Reply>;
  close(): void;
}

export interface Workers {
  broker(): RunningBroker;
  provider: TokenEndpoint;
  env: Record<string, string>;
  ask(method: string, path: string, body?: unknown, key?: string): ReturnType<typeof ask>;
  /** By default of the port for callers. */
  clients(count: number, url?: string): Client[];
  /** The processes that serve, by worker. */
  pids(): Map<number, number>;
  /** How often a worker has begun to serve. */
  starts(): number;
  /** Starts another supervisor on the same database. */
  start(): Promise<void>;
  importConnection(owner: string): Promise<string>;
  close(): Promise<void>;
}

export async function startWorkers(more: Record<string, string> = {}): Promise<Workers> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-workers-'));
  const provider = await startTokenEndpoint(folder, { answersAgain: true });
  const adminKey = randomBytes(32).toString('base64url');
  const env = {
    ...(await databaseIn(folder)),
    VALETKEY_WORKERS: '2',
    VALETKEY_INTERNAL_PORT: '0',
    VALETKEY_ADMIN_KEY: adminKey,
    VALETKEY_REFRESH_CONCURRENCY: '64',
    NODE_EXTRA_CA_CERTS: provider.certificate,
    ...more,
  };
  let broker: RunningBroker;
  const open: Client[] = [];
  const readyLines = () =>
    [...broker.output().matchAll(/"event":"worker_ready","worker":(\d+),"pid":(\d+)/g)].map(
      ([, worker, pid]) => [Number(worker), Number(pid)] as const,
    );
  const internalUrl = () => /"internal_url":"([^"]+)"/.exec(broker.output())![1]!;
  const workers: Workers = {
    broker: () => broker,
    provider,
    env,
    ask: (method, path, body, key = adminKey) => ask(internalUrl(), key, method, path, body),
    clients(count, url = internalUrl()) {
      const made = Array.from({ length: count }, () => connect(url, adminKey));
      open.push(...made);
      return made;
    },
    pids: () => new Map(readyLines()),
    starts: () => readyLines().length,
    async start() {
      broker = await startBroker(env, await bundled('main'));
    },
    async importConnection(owner) {
      const expires_at = new Date(Date.now() + 7_200_000).toISOString();
      const credentials = { refresh_token: `${owner}-1`, access_token: `at-${owner}-1`, expires_at };
      const { body } = await workers.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials });
      return String(body.id);
    },
    async close() {
      for (const client of open) client.close();
      await broker.stop('SIGKILL');
      await provider.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await workers.start();
  const params = { authorization_url: provider.url, token_url: provider.url };
  const integration = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  await workers.ask('PUT', '/v1/integrations/acme', integration);
  return workers;
}

function connect(url: string, adminKey: string): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    send: (method, path, { body, key = adminKey } = {}) =>
      new Promise((resolve) => {
        const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
        const lost = () => resolve({ status: 0, headers: {}, body: {} });
        const sent = request(new URL(path, url), { method, agent, headers }, async (response) => {
          let text = '';
          try {
            for await (const chunk of response) text += chunk;
          } catch {
            return lost();
          }
          const { statusCode = 0, headers: answered } = response;
          resolve({ status: statusCode, headers: answered, body: text.startsWith('{') ? JSON.parse(text) : { text } });
        });
        sent.on('error', lost);
        sent.end(body === undefined ? undefined : JSON.stringify(body));
      }),
    close: () => agent.destroy(),
  };
}
