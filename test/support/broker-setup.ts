// A test setup: a broker, a real provider with a recording proxy in front, and a clock that the test sets.
import { expect } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import type { Logger } from '../../src/ports/index.ts';
import type { Tuning } from '../../src/runtime/app.ts';
import { type Json, startTestBroker, type TestBroker } from './broker.ts';
import { mintRefreshToken } from './minted-grant.ts';
import { createMovingClock } from './moving-clock.ts';
import { type ProviderProxy, startProviderProxy } from './provider-proxy.ts';

export interface TestSetup {
  broker: TestBroker;
  provider: LocalProvider;
  proxy: ProviderProxy;
  clientId: string;
  clientSecret: string;
  /** The body of `PUT /v1/integrations/acme`. */
  integrationBody: Json;
  /** The broker's time in ms; the provider uses the real time. */
  now(): number;
  advance(ms: number): void;
  /** Mints a refresh token at the provider. */
  mintRefreshToken(owner: string): Promise<string>;
  /** Imports a connection at `acme`: with a refresh token, and with more credentials or members if given. Returns its id. */
  importConnection(owner: string, credentials?: Json, more?: Json): Promise<string>;
  /** An RFC 3339 time so many seconds after the broker's. */
  inSeconds(seconds: number): string;
  /** The number of refreshes that reached the provider. */
  refreshCount(): number;
  close(): Promise<void>;
}

/** With the integration `acme`; `file` is the declarative one. The outbox is processed every 20 ms; there are no scheduled refreshes. */
export async function startTestSetup(
  env: Record<string, string> = {},
  log?: Logger,
  file?: Json,
  tuning: Tuning = {},
): Promise<TestSetup> {
  const clock = createMovingClock();
  const [broker, provider] = await Promise.all([
    startTestBroker(env, file, { clock, outboxEveryMs: 20, refreshAhead: false, ...tuning }, log),
    startProvider(),
  ]);
  const proxy = await startProviderProxy(provider);
  const { clientId, clientSecret } = await provider.addClient([`${broker.url}/oauth2/callback/acme`]);
  const setup = {
    provider: 'generic-oidc',
    client_id: clientId,
    client_secret: clientSecret,
    params: { issuer: provider.issuer },
    overrides: proxy.overrides,
  };
  expect((await broker.ask('PUT', '/v1/integrations/acme', setup)).status).toBe(201);
  return {
    broker,
    provider,
    proxy: proxy,
    clientId,
    clientSecret,
    integrationBody: setup,
    now: clock.now,
    advance: clock.advance,
    mintRefreshToken: (owner) => mintRefreshToken(provider, clientId, owner),
    async importConnection(owner, credentials = {}, more = {}) {
      const refresh_token = await mintRefreshToken(provider, clientId, owner);
      const body = { integration: 'acme', owner, ...more, credentials: { refresh_token, ...credentials } };
      const answer = await broker.ask('POST', '/v1/connections', body);
      expect(answer.status, JSON.stringify(answer.body)).toBe(201);
      return String(answer.body.id);
    },
    inSeconds: (seconds) => new Date(clock.now() + seconds * 1_000).toISOString(),
    refreshCount: () => proxy.forwarded('refresh_token').length,
    async close() {
      await broker.stop();
      await proxy.close();
      await provider.close();
    },
  };
}
