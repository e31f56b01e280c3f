// The metrics that a running broker exposes once everything that it counts has happened: names, kinds and labels.
import Database from 'better-sqlite3';
import { createCookieJar } from '../../demo/browser.ts';
import { mergedText } from '../../src/adapters/telemetry/merged-metrics.ts';
import { startTestSetup, type TestSetup } from './broker-setup.ts';
import { startIssuer } from './issuer.ts';
import { callApi, type LimitedApi, startLimitedApi } from './limited-api.ts';
import { openLink, visit } from './owner-browser.ts';

export interface MetricFamily {
  name: string;
  kind: string;
  help: string;
  /** Labels by series name. */
  series: Map<string, Set<string>>;
  /** The bucket bounds of a histogram. */
  bounds: Set<string>;
}

export async function renderedMetrics(): Promise<MetricFamily[]> {
  const api = await startLimitedApi({ scope: 'connection' });
  const testSetup = await startTestSetup({ VALETKEY_PROVIDERS_DIR: api.providers });
  const waiting = new AbortController();
  try {
    await causeMetrics(testSetup);
    await meetLimits(testSetup.broker, api, waiting.signal);
    // What is due is counted once in a while: after the failures, nothing may be.
    const due = await metricsOf(testSetup.broker);
    await causeFailures(testSetup.broker);
    // Those of workers are beside what each of them has.
    const workers = await mergedText([], { wanted: 2, running: 2, restarts: 1 });
    return familiesIn([due, await metricsOf(testSetup.broker), workers].join('\n'));
  } finally {
    waiting.abort();
    await testSetup.close();
    await api.close();
  }
}

const metricsOf = async ({ url }: Pick<TestSetup['broker'], 'url'>): Promise<string> =>
  (await fetch(new URL('/metrics', url))).text();

/** A refresh before expiry, and one that is due; a proxied call; an owner who declines; a webhook of no one; a revocation. */
async function causeMetrics(setup: TestSetup): Promise<void> {
  const { broker, importConnection, inSeconds, refreshCount, integrationBody } = setup;
  const id = await importConnection('ada', { access_token: 'a', expires_at: inSeconds(600) });
  await broker.ask('GET', `/v1/connections/${id}/token`);
  await broker.ask('POST', `/v1/connections/${id}/refresh`, {});
  if (refreshCount() !== 1) throw new Error('no refresh happened');
  await broker.ask('POST', `/v1/connections/${id}/check`);
  const { overrides } = integrationBody as { overrides: object };
  const api = { ...integrationBody, overrides: { ...overrides, api_base_url: broker.url } };
  await broker.ask('PUT', '/v1/integrations/acme', api);
  await broker.ask('GET', `/v1/connections/${id}/proxy/healthz`);
  await importConnection('grace');
  await decline(broker, 'alan');
  await fetch(new URL('/webhooks/nobody', broker.url), { method: 'POST' });
  await receiveSignals(broker);
  await broker.ask('DELETE', `/v1/connections/${id}`);
}

/** A changed row, and a failing store operation. */
async function causeFailures(broker: TestSetup['broker']): Promise<void> {
  const inside = new Database(broker.database);
  inside.prepare(`update connections set owner = 'mallory' where owner = 'grace'`).run();
  await broker.ask('GET', '/v1/token?integration=acme&owner=mallory');
  const session = { owner: 'ada', integrations: ['acme'], actions: ['proxy'], purpose: 'metrics' };
  const { body: agent } = await broker.ask('POST', '/v1/sessions', session);
  await broker.ask('DELETE', `/v1/sessions/${agent.id}`);
  inside.exec('alter table connect_sessions rename to elsewhere');
  inside.close();
  await broker.ask('POST', '/v1/connect-sessions', { integration: 'acme', owner: 'edsger' });
}

/** A call that is refused, one that waits until `signal`, and a host that fails. */
async function meetLimits(broker: TestSetup['broker'], api: LimitedApi, signal: AbortSignal): Promise<void> {
  const [one, other] = [await api.connect(broker, 'limited', 'ada'), await api.connect(broker, 'limited', 'alan')];
  const id = await api.connect(broker, 'limited-too', 'grace');
  api.answers('429 Too Many Requests', ['Retry-After: 60']);
  for (let i = 0; i < 2; i++) await callApi(broker, id);
  callApi(broker, id, { headers: { 'valetkey-max-wait': '300' }, signal }).catch(() => undefined);
  while (!(await metricsOf(broker)).includes('valetkey_upstream_waiting{'));
  api.answers('500 Internal Server Error');
  for (let i = 0; i < 5; i++) await callApi(broker, i % 2 ? one : other);
}

/** A security event about no one that is known. */
async function receiveSignals({ url, ask }: TestSetup['broker']): Promise<void> {
  const issuer = await startIssuer();
  const setup = { provider: 'generic-oidc', client_id: 'signals', client_secret: 's', params: { issuer: issuer.url } };
  await ask('PUT', '/v1/integrations/signals', setup);
  const sub_id = { format: 'iss_sub', iss: issuer.url, sub: 'nobody' };
  const events = { 'https://schemas.openid.net/secevent/risc/event-type/account-disabled': {} };
  const claims = { aud: 'signals', jti: 'one', exp: undefined, sub: undefined, sub_id, events };
  const body = await issuer.sign(claims, { typ: 'secevent+jwt' });
  const headers = { 'content-type': 'application/secevent+jwt' };
  const { status } = await fetch(`${url}/signals/signals`, { method: 'POST', headers, body });
  if (status !== 202) throw new Error(`the signal was not taken: ${status}`);
  for (let text = ''; !text.includes('outcome="unmatched"'); ) text = await metricsOf({ url });
  await issuer.close();
}

async function decline({ url, ask }: TestSetup['broker'], owner: string): Promise<void> {
  const { body } = await ask('POST', '/v1/connect-sessions', { integration: 'acme', owner });
  const jar = createCookieJar();
  const { location } = await openLink(String(body.url), jar);
  const state = new URL(location ?? '').searchParams.get('state');
  await visit(new URL(`/oauth2/callback/acme?error=access_denied&state=${state}`, url), jar);
}

function familiesIn(text: string): MetricFamily[] {
  const families = new Map<string, MetricFamily>();
  const helps = new Map([...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [name!, help!]));
  for (const [, name, kind] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm))
    families.set(name!, {
      name: name!,
      kind: kind!,
      help: helps.get(name!) ?? '',
      series: new Map(),
      bounds: new Set(),
    });
  for (const [, series, labels = ''] of text.matchAll(/^([a-z]\w*)(?:\{(.*)\})? \S+$/gm)) {
    const family = families.get(series!) ?? families.get(series!.replace(/_(bucket|sum|count)$/, ''));
    if (!family) throw new Error(`${series} has no type`);
    const known = family.series.get(series!) ?? new Set();
    for (const [, label] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label!);
    const bound = /\ble="([^"]*)"/.exec(labels)?.[1];
    if (bound !== undefined) family.bounds.add(bound);
    family.series.set(series!, known);
  }
  return [...families.values()];
}
