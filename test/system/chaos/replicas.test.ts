// Two brokers on one database with missed changes and different clocks.
import { describe, expect, it, onTestFinished } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import type { Clock } from '../../../src/ports/index.ts';
import { start } from '../../../src/runtime/app.ts';
import { parseConfig } from '../../../src/runtime/config.ts';
import { type Answer, ask, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createMovingClock } from '../../support/moving-clock.ts';
import { type ChaosProvider, launchProvider } from './processes.ts';

interface Replicas {
  provider: ChaosProvider;
  one: TestBroker;
  /** Sends a request to the other broker. */
  elsewhere: (method: string, path: string, body?: unknown) => Promise<Answer>;
  /** A connection with only a refresh token. */
  id: string;
}

/** Without scheduled refreshes. Each broker may have its own clock. */
async function twoReplicas(here: Clock, there: Clock): Promise<Replicas> {
  const provider = await launchProvider(1, '/dev/null');
  onTestFinished(async () => void (await provider.end()));
  const one = await startTestBroker({}, undefined, { clock: here, refreshAhead: false });
  onTestFinished(() => one.stop());
  const env = {
    VALETKEY_PORT: '0',
    VALETKEY_DATABASE_URL: `file:${one.database}`,
    VALETKEY_ADMIN_KEY: one.adminKey,
    VALETKEY_OUTBOUND_ALLOW: '127.0.0.1',
  };
  const parsed = parseConfig(env, () => '{}');
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const other = await start(parsed.config, createLogger('silent'), { clock: there, refreshAhead: false });
  onTestFinished(() => other.stop());

  const params = { authorization_url: provider.tokenUrl, token_url: provider.tokenUrl };
  const setup = { provider: 'generic-oauth2', client_id: 'v', client_secret: 's', params };
  await one.ask('PUT', '/v1/integrations/chaos', setup);
  await provider.control('rules', { life: [60, 60] });
  const { refreshTokens } = await provider.control('seed', { names: ['owner'] });
  const credentials = { refresh_token: refreshTokens[0] };
  const { body } = await one.ask('POST', '/v1/connections', { integration: 'chaos', owner: 'owner', credentials });
  const elsewhere: Replicas['elsewhere'] = (...given) => ask(other.url, one.adminKey, ...given);
  return { provider, one, elsewhere, id: String(body.id) };
}

it('replica that missed the last refreshes: never serves an expired token', async () => {
  const clock = createMovingClock();
  const { provider, one, elsewhere, id } = await twoReplicas(clock, clock);
  const path = `/v1/connections/${id}`;
  const readElsewhere = () => elsewhere('GET', `${path}/token`);

  const first = await readElsewhere();
  expect(first.status).toBe(200);
  const second = await one.ask('POST', `${path}/refresh`, {});
  expect(second.body.access_token).not.toBe(first.body.access_token);
  clock.advance(61_000);
  await provider.control('rules', { faults: { unavailable: 1 } });
  expect((await readElsewhere()).body).toMatchObject({ status: 503, code: 'provider_unavailable' });
  await provider.control('rules', { faults: {} });
  clock.advance(60_000);
  const third = await readElsewhere();
  expect(third.status).toBe(200);
  expect(await provider.control('alive', { token: String(third.body.access_token) })).toMatchObject({ alive: true });
});

it('wall clock that jumps: takes no lease from a running replica, and nothing is spent twice', async () => {
  let jumped = 0;
  const monotonic = () => performance.now();
  const clocks = [
    { now: () => Date.now(), monotonic },
    { now: () => Date.now() + jumped, monotonic },
  ] as const;
  const { provider, one, elsewhere, id } = await twoReplicas(...clocks);
  await provider.control('rules', { latency: [300, 300], life: [7_200, 7_200] });
  const spends = async () => (await provider.control('log', { from: 0 })).spends;
  const path = `/v1/connections/${id}/token`;

  const here = one.ask('GET', path);
  await expect.poll(spends, { interval: 10, timeout: 30_000 }).toHaveLength(1);
  jumped = 3_600_000;
  const there = elsewhere('GET', path);
  expect((await there).body.access_token).toBe((await here).body.access_token);
  expect(await spends()).toHaveLength(1);
  expect((await one.ask('GET', `/v1/connections/${id}`)).body).toMatchObject({ status: 'active', generation: 2 });
});

describe('token that was stored before the clock was set back', () => {
  /** A token that the first replica refreshed, and a read at the other replica, whose clock is behind. */
  async function startWithTokenFromAheadClock(behindMs: number) {
    const clock = createMovingClock();
    const { monotonic } = clock;
    const [here, there] = [0, behindMs].map((off) => ({ now: () => clock.now() - off, monotonic }));
    const { provider, one, elsewhere, id } = await twoReplicas(here!, there!);
    await provider.control('rules', { life: [7_200, 7_200] });
    const path = `/v1/connections/${id}/token`;
    const { access_token: token } = (await one.ask('GET', path)).body;
    return { provider, token, advance: clock.advance, read: () => elsewhere('GET', path) };
  }

  it('by an hour: served only after a refresh failed', async () => {
    const { provider, token, advance, read } = await startWithTokenFromAheadClock(3_600_000);
    await provider.control('rules', { faults: { unavailable: 1 } });
    expect((await read()).body).toMatchObject({ access_token: token });
    await provider.control('rules', { faults: {} });
    advance(60_000);
    const { status, body } = await read();
    expect(status).toBe(200);
    expect(body.access_token).not.toBe(token);
    expect((await read()).body.access_token).toBe(body.access_token);
  });

  it('by some seconds: served', async () => {
    const { provider, token, read } = await startWithTokenFromAheadClock(5_000);
    expect((await read()).body).toMatchObject({ access_token: token });
    expect((await provider.control('log', { from: 0 })).spends).toHaveLength(1);
  });
});
