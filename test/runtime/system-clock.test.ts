// The system's clock: the time that the machine sleeps counts, and neither a wall clock nor an uptime that jumps alone does.
import os from 'node:os';
import { expect, it, onTestFinished, test } from 'vitest';
import { createSystemClock, systemClock } from '../../src/runtime/system-clock.ts';
import { type Answer, startTestBroker } from '../support/broker.ts';
import { putIntegration } from '../support/owner-browser.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const HOUR = 3_600_000;

/** Times that a test moves, from the real ones; each may be moved alone. */
function movable() {
  const moved = { wall: 0, monotonic: 0, uptime: 0 };
  const clock = createSystemClock({
    wall: () => Date.now() + moved.wall,
    monotonic: () => performance.now() + moved.monotonic,
    uptime: () => os.uptime() * 1_000 + moved.uptime,
  });
  const move = (by: Partial<typeof moved>) => {
    for (const [name, ms] of Object.entries(by)) moved[name as keyof typeof moved] += ms;
  };
  const sleep = (ms: number) => move({ wall: ms, uptime: ms });
  /** How far the monotonic time goes on meanwhile; `now` is asked for as by every request. */
  const gained = (work: () => void): number => {
    const before = clock.monotonic();
    work();
    clock.now();
    return clock.monotonic() - before;
  };
  return { clock, move, sleep, gained };
}
const isAbout = (ms: number, expected: number) => ms > expected - 5_000 && ms < expected + 300_000;

it('monotonic time counts each sleep once', () => {
  const { clock, sleep, gained } = movable();
  expect(
    isAbout(
      gained(() => sleep(HOUR)),
      HOUR,
    ),
  ).toBe(true);
  expect(
    isAbout(
      gained(() => clock.now()),
      0,
    ),
  ).toBe(true);
  expect(
    isAbout(
      gained(() => sleep(2 * HOUR)),
      2 * HOUR,
    ),
  ).toBe(true);
});

it('monotonic time counts a sleep whose wall clock is corrected later', () => {
  const { move, gained } = movable();
  expect(
    isAbout(
      gained(() => move({ uptime: HOUR })),
      0,
    ),
  ).toBe(true);
  expect(
    isAbout(
      gained(() => move({ wall: HOUR })),
      HOUR,
    ),
  ).toBe(true);
});

it.each([
  ['the wall clock is set forward', { wall: 2 * HOUR }],
  ['the wall clock is set back', { wall: -2 * HOUR }],
  ['the uptime jumps forward', { uptime: 200 * HOUR }],
  ['the uptime starts again', { uptime: -200 * HOUR }],
  ['the uptime is unknown', { wall: HOUR, uptime: Number.NaN }],
  ['the process was stopped, and all clocks went on', { wall: HOUR, monotonic: HOUR, uptime: HOUR }],
])('monotonic time stays as it is when %s', (_, by) => {
  const { move, gained } = movable();
  const own = 'monotonic' in by ? by.monotonic : 0;
  expect(isAbout(gained(() => move(by)) - own, 0)).toBe(true);
  // It never goes back.
  expect(gained(() => move({ wall: -1_000 }))).toBeGreaterThanOrEqual(0);
});

it('the clock of this machine: the time of the system, and of the process', () => {
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
  expect(systemClock.monotonic()).toBeGreaterThanOrEqual(performance.now() - 1_000);
});

/** A broker with a token of an hour in memory, and how to read it. */
async function withCachedToken() {
  const { clock, move, sleep } = movable();
  let issued = 0;
  let isDown = false;
  const provider = await startScriptedServer(() => {
    if (isDown) return { status: 503 };
    return { body: { access_token: `at-${++issued}`, token_type: 'Bearer', refresh_token: 'rt', expires_in: 3_600 } };
  });
  onTestFinished(() => provider.close());
  const broker = await startTestBroker({}, undefined, { clock, refreshAhead: false });
  onTestFinished(() => broker.stop());
  const params = { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` };
  await putIntegration(broker, 'acme', { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params });
  const body = { integration: 'acme', owner: 'ada', credentials: { refresh_token: 'rt' } };
  const id = String((await broker.ask('POST', '/v1/connections', body)).body.id);
  // On the fast path, and on the way of all others.
  const paths = [`/v1/connections/${id}/token`, `/v1/connections/${id}/token?min_ttl=%30`];
  const read = () => broker.ask('GET', paths[0]!);
  const readAll = () => Promise.all(paths.map((path) => broker.ask('GET', path)));
  /** What the two times of the answer differ by, in seconds. */
  const contradiction = ({ body: { expires_at, expires_in } }: Answer) =>
    (Date.parse(String(expires_at)) - clock.now()) / 1_000 - Number(expires_in);
  expect((await read()).body.access_token).toBe('at-1');
  return { move, sleep, read, readAll, contradiction, down: () => (isDown = true) };
}

test('a token that has expired while the machine slept is not served, with or without its provider', async () => {
  const { sleep, read, down } = await withCachedToken();
  sleep(2 * HOUR);
  const first = await read();
  expect([first.status, first.body.access_token]).toEqual([200, 'at-2']);
  expect(first.body.expires_in).toBeGreaterThan(3_000);
  down();
  sleep(2 * HOUR);
  expect((await read()).status).toBe(503);
});

test('the time that the machine slept is missing from the life of a token', async () => {
  const { sleep, readAll, contradiction } = await withCachedToken();
  sleep(HOUR / 2);
  for (const answer of await readAll()) {
    expect(answer.body).toMatchObject({ access_token: 'at-1' });
    expect(answer.body.expires_in).toBeLessThanOrEqual(1_800);
    expect(Math.abs(contradiction(answer))).toBeLessThan(3);
  }
});

test('expires_in never contradicts expires_at when the wall clock is set', async () => {
  const { move, read, readAll, contradiction, down } = await withCachedToken();
  move({ wall: -HOUR });
  for (const answer of await readAll()) {
    expect(answer.body).toMatchObject({ access_token: 'at-1' });
    expect(answer.body.expires_in).toBeLessThanOrEqual(3_600);
    expect(Math.abs(contradiction(answer))).toBeLessThan(3);
  }
  // By the wall clock it has expired: a newer one is requested, and while there is none it is served, as if at its end.
  move({ wall: 3 * HOUR });
  expect((await read()).body.access_token).toBe('at-2');
  down();
  move({ wall: 3 * HOUR });
  for (const answer of await readAll()) expect(answer.body).toMatchObject({ access_token: 'at-2', expires_in: 0 });
});
