// Limits of an API, met through the proxy: what callers get, what is sent, and how an admin sets a rate.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { type CalledAnswer, callApi, type LimitedApi, startLimitedApi } from '../../support/limited-api.ts';

let api: LimitedApi;
let broker: TestBroker;
beforeAll(async () => {
  api = await startLimitedApi({
    scope: 'connection',
    signals: [
      { status: [403], code: { body: ['reason'], in: ['rateLimitExceeded'] } },
      { status: [200], code: { body: ['code'], in: ['THROTTLED'] } },
    ],
    body_wait: { path: 'wait', unit: 'seconds' },
    headers: { limit: ['x-limit'], remaining: ['x-left'], reset: { name: 'x-reset', unit: 'seconds' } },
  });
  broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: api.providers }, undefined, { refreshAhead: false });
});
afterAll(async () => {
  await broker?.stop();
  await api?.close();
});
beforeEach(() => api.upstream.reset());

let made = 0;
const connect = (integration = 'acme', more = {}) => api.connect(broker, integration, `owner-${++made}`, more);
const sent = () => api.upstream.requests.length;
/** `seconds`: from the answer that said so, less what a busy machine takes until the next call. */
function expectLimited({ status, headers, body }: CalledAnswer, scope: string, seconds: number): void {
  expect({ status, ...body }).toMatchObject({ status: 429, code: 'upstream_rate_limited', scope });
  expect(body.retry_after).toBeLessThanOrEqual(seconds);
  expect(body.retry_after).toBeGreaterThan(Math.max(0, seconds - 6));
  expect(headers.get('retry-after')).toBe(String(body.retry_after));
  expect(headers.get('valetkey-error')).toBe('1');
  expect(headers.get('valetkey-attempts')).toMatch(/^\d$/);
}
const metrics = async () => (await fetch(`${broker.url}/metrics`)).text();

describe('a call that the API refuses because of a limit', () => {
  test('is a problem with the time to wait; the next one is not sent, and those of other connections are', async () => {
    const [one, other] = [await connect(), await connect()];
    api.answers('429 Too Many Requests', ['Retry-After: 30'], '{"secret":"of the vendor"}');
    expectLimited(await callApi(broker, one), 'connection', 30);
    api.answers('200 OK');
    expectLimited(await callApi(broker, one), 'connection', 30);
    expect(sent()).toBe(1);
    expect((await callApi(broker, other)).status).toBe(200);
    expect(sent()).toBe(2);
    const text = await metrics();
    expect(text).toMatch(/valetkey_upstream_limits_total\{integration="acme",scope="connection",outcome="told"\} \d/);
    expect(text).toMatch(
      /valetkey_upstream_limits_total\{integration="acme",scope="connection",outcome="refused"\} \d/,
    );
  });

  test('a 403 with such a reason is one, the connection is not to blame, and the body says how long', async () => {
    const id = await connect();
    api.answers('403 Forbidden', [], '{"reason":"rateLimitExceeded","wait":7}');
    expectLimited(await callApi(broker, id), 'connection', 7);
    expect(expectOk(await broker.ask('GET', `/v1/connections/${id}`)).status).toBe('active');
  });

  test('a 403 without such a reason is passed on, and blocks nothing', async () => {
    const id = await connect();
    api.answers('403 Forbidden', [], '{"reason":"insufficientPermissions"}');
    for (let i = 0; i < 2; i++) {
      const { status, headers, body } = await callApi(broker, id);
      expect([status, body.reason, headers.get('valetkey-error')]).toEqual([403, 'insufficientPermissions', null]);
    }
    expect(sent()).toBe(2);
  });

  test('told with status 200 it is passed on, with a header that says so, and the next call is not sent', async () => {
    const id = await connect();
    api.answers('200 OK', [], '{"code":"THROTTLED","data":null,"wait":9}');
    const { status, headers, body } = await callApi(broker, id);
    expect([status, headers.get('valetkey-rate-limited'), body.code]).toEqual([200, 'true', 'THROTTLED']);
    expectLimited(await callApi(broker, id), 'connection', 9);
    expect(sent()).toBe(1);
  });

  test('is made again within the time that the caller would wait, where that is safe', async () => {
    const id = await connect();
    let answered = 0;
    api.upstream.onHead = ({ socket }) => {
      const isFirst = answered++ === 0;
      const status = isFirst ? '429 Too Many Requests\r\nRetry-After: 1' : '200 OK';
      socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\n{}`);
    };
    const since = performance.now();
    const { status, headers } = await callApi(broker, id, { headers: { 'valetkey-max-wait': '5' } });
    expect([status, headers.get('valetkey-attempts')]).toEqual([200, '2']);
    expect(performance.now() - since).toBeGreaterThanOrEqual(990);
    answered = 0;
    expectLimited(
      await callApi(broker, id, { method: 'POST', headers: { 'valetkey-max-wait': '5' } }),
      'connection',
      1,
    );
    expect(answered).toBe(1);
  });
});

describe('what remains', () => {
  test('is not exceeded', async () => {
    const id = await connect();
    api.answers('200 OK', ['x-limit: 100', 'x-left: 1', 'x-reset: 50']);
    expect((await callApi(broker, id)).status).toBe(200);
    api.answers('200 OK');
    const background = { headers: { 'valetkey-priority': 'background' } };
    expectLimited(await callApi(broker, id, background), 'connection', 50);
    expect((await callApi(broker, id)).status).toBe(200);
    expectLimited(await callApi(broker, id), 'connection', 50);
  });

  test('a caller that hangs up waits no more', async () => {
    const id = await connect();
    api.answers('429 Too Many Requests', ['Retry-After: 30']);
    await callApi(broker, id);
    const gone = new AbortController();
    const waits = callApi(broker, id, { headers: { 'valetkey-max-wait': '60' }, signal: gone.signal });
    waits.catch(() => undefined);
    await expect.poll(metrics).toContain('valetkey_upstream_waiting{integration="acme"} 1');
    gone.abort();
    await expect(waits).rejects.toThrow();
    await expect.poll(metrics).not.toContain('valetkey_upstream_waiting{integration="acme"}');
  });

  test.each([
    ['valetkey-max-wait', '-1'],
    ['valetkey-max-wait', '301'],
    ['valetkey-max-wait', '1.5'],
    ['valetkey-priority', 'urgent'],
  ])('%s: %s is refused', async (name, value) => {
    const { status, body } = await callApi(broker, await connect(), { headers: { [name]: value } });
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });
});

describe('a rate of the integration', () => {
  test('is stored, shown and audited, and calls beyond it are not sent', async () => {
    const rate = { requests: 2, window: 100, per: 'integration' };
    const [one, other] = [await connect('rated', { rate }), await connect('rated', { rate })];
    expect(expectOk(await broker.ask('GET', '/v1/integrations/rated')).rate).toEqual(rate);
    expect((await callApi(broker, one)).status).toBe(200);
    expect((await callApi(broker, other)).status).toBe(200);
    expectLimited(await callApi(broker, one), 'integration', 50);
    expect(sent()).toBe(2);
    expectOk(await broker.ask('PUT', '/v1/integrations/rated', { provider: 'acme', rate: { requests: 9, window: 1 } }));
    await expect.poll(async () => (await callApi(broker, one)).status).toBe(200);
    const { rate: changed } = expectOk(await broker.ask('GET', '/v1/integrations/rated'));
    expect(changed).toEqual({ requests: 9, window: 1, per: 'integration' });
    const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=integration.put&limit=1'));
    expect((data as { changed?: string[] }[])[0]!.changed).toEqual(['rate.requests', 'rate.window']);
    expectOk(await broker.ask('PUT', '/v1/integrations/rated', { provider: 'acme' }));
    expect(expectOk(await broker.ask('GET', '/v1/integrations/rated')).rate).toBeNull();
  });

  test.each([
    [{ requests: 0, window: 1 }],
    [{ requests: 1, window: 0 }],
    [{ requests: 1, window: 86_401 }],
    [{ requests: 1 }],
    [{ requests: 1, window: 1, per: 'owner' }],
  ])('%j is refused', async (rate) => {
    expectProblem(await broker.ask('PUT', '/v1/integrations/odd', { provider: 'acme', rate }), 400, 'invalid_request');
  });
});

test('an API that fails at several connections is not called for a while', async () => {
  const [one, other] = [await connect('failing'), await connect('failing')];
  api.answers('500 Internal Server Error');
  for (let i = 0; i < 5; i++) expect((await callApi(broker, i % 2 ? one : other)).status).toBe(500);
  const { status, headers, body } = await callApi(broker, one);
  expect([status, body.code, headers.get('valetkey-error')]).toEqual([503, 'upstream_unavailable', '1']);
  expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(5);
  expect(sent()).toBe(5);
  expect(await metrics()).toContain(
    `valetkey_upstream_breaker_state{integration="failing",host="${api.upstream.host}",scope="caller"} 1`,
  );
  // A changed integration has other settings: it is called again.
  expectOk(await broker.ask('PUT', '/v1/integrations/failing', { provider: 'acme', scopes: ['other'] }));
  api.answers('200 OK');
  expect((await callApi(broker, one)).status).toBe(200);
});
