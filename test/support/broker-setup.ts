// A broker in front of a real provider, with a door between the two and a clock that the test sets.
import { expect } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import type { Clock } from '../../src/ports/index.ts';
import { type Json, startTestBroker, type TestBroker } from './broker.ts';
import { mintRefreshToken } from './minted-grant.ts';
import { type ProviderProxy, startProviderProxy } from './provider-proxy.ts';

export interface World {
  broker: TestBroker;
  provider: LocalProvider;
  front: ProviderProxy;
  clientId: string;
  clientSecret: string;
  /** What `acme` is set up with. */
  setup: Json;
  /** The broker's time, ms; the provider's goes on as it does. */
  now(): number;
  advance(ms: number): void;
  /** A refresh token of the provider. */
  mint(owner: string): Promise<string>;
  /** Imports a grant of the owner's at `acme`: a refresh token, and more credentials or members where given. */
  adopt(owner: string, credentials?: Json, more?: Json): Promise<string>;
  /** An RFC 3339 time so many seconds after the broker's. */
  inSeconds(seconds: number): string;
  /** Refreshes that reached the provider. */
  refreshes(): number;
  close(): Promise<void>;
}

/** The integration `acme` is set up. Owed work is looked for every 20 ms; only what is read is refreshed. */
export async function startWorld(env: Record<string, string> = {}): Promise<World> {
  let ahead = 0;
  const clock: Clock = { now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead };
  const [broker, provider] = await Promise.all([
    startTestBroker(env, undefined, { clock, outboxEveryMs: 20, refreshAhead: false }),
    startProvider(),
  ]);
  const front = await startProviderProxy(provider);
  const { clientId, clientSecret } = await provider.addClient([`${broker.url}/oauth2/callback/acme`]);
  const setup = {
    provider: 'generic-oidc',
    client_id: clientId,
    client_secret: clientSecret,
    params: { issuer: provider.issuer },
    overrides: front.overrides,
  };
  expect((await broker.ask('PUT', '/v1/integrations/acme', setup)).status).toBe(201);
  return {
    broker,
    provider,
    front,
    clientId,
    clientSecret,
    setup,
    now: clock.now,
    advance: (ms) => {
      ahead += ms;
    },
    mint: (owner) => mintRefreshToken(provider, clientId, owner),
    async adopt(owner, credentials = {}, more = {}) {
      const refresh_token = await mintRefreshToken(provider, clientId, owner);
      const body = { integration: 'acme', owner, ...more, credentials: { refresh_token, ...credentials } };
      const answer = await broker.ask('POST', '/v1/connections', body);
      expect(answer.status, JSON.stringify(answer.body)).toBe(201);
      return String(answer.body.id);
    },
    inSeconds: (seconds) => new Date(clock.now() + seconds * 1_000).toISOString(),
    refreshes: () => front.spent('refresh_token').length,
    async close() {
      await broker.stop();
      await front.close();
      await provider.close();
    },
  };
}
