// The canary's script: everything a broker does, and everything that can go wrong, while a recorder keeps its responses.
import { randomBytes } from 'node:crypto';
import { ECHOES } from './echoing-provider.ts';
import type { ProviderProxy } from './provider-proxy.ts';
import type { Recorder } from './recorder.ts';
import type { RestartableBroker } from './restartable-broker.ts';
import type { Secrets } from './secrets.ts';

export interface CanaryContext {
  restartable: RestartableBroker;
  echoingProvider: { url: string };
  recorder: Recorder;
  secrets: Secrets;
}

export const randomSecret = () => randomBytes(24).toString('base64url');
/** With characters that every encoding writes differently, as some vendors use them. */
const secretWithSpecialCharacters = () => `1//0${randomSecret()}+/=%&"${randomSecret()}`;

const EVERY_PERMISSION = { actions: ['*'], integrations: ['*'], owners: ['*'] };
const INTEGRATION = 'acme';
/** The callers' app, where no one listens. */
const APP = 'http://127.0.0.1:9/';

export interface Callers {
  service: string;
  limited: string;
  deleted: string;
}

export async function createCallers({ recorder }: CanaryContext): Promise<Callers> {
  const limited = { actions: ['token'], integrations: [INTEGRATION], owners: ['nobody'] };
  const create = async (name: string, grant: object) =>
    (await recorder.ask('POST', '/v1/callers', { body: { name, grants: [grant] } })).body;
  const service = await create('calendar-sync', EVERY_PERMISSION);
  const other = await create('limited', limited);
  const second = await recorder.ask('POST', `/v1/callers/${service.id}/keys`, { body: {} });
  await recorder.ask('DELETE', `/v1/callers/${service.id}/keys/${second.body.id}`);
  return { service: String(service.key), limited: String(other.key), deleted: String(second.body.key) };
}

/** Connect, read, refresh, lose the grant, reconnect. */
export async function runConnectionLifecycle(
  { restartable, recorder, secrets }: CanaryContext,
  { service: key }: Callers,
): Promise<string> {
  const session = { integration: INTEGRATION, owner: 'user_42', label: 'work', metadata: { team: 'blue' } };
  const invited = await recorder.createConnectSession(session);
  await recorder.browse(invited.url, { login: 'alice' });
  const { body } = await recorder.ask('GET', `/v1/connect-sessions/${invited.id}`, { key });
  const id = String(body.connection_id);
  const served = await recorder.ask('GET', `/v1/token?integration=${INTEGRATION}&owner=user_42&label=work`, { key });
  await recorder.ask('GET', `/v1/connections/${id}/token?min_ttl=10`, { key });
  const rejected_token = served.body.access_token;
  for (const _ of ['refreshes', 'gets the newer token'])
    await recorder.ask('POST', `/v1/connections/${id}/refresh`, { key, body: { rejected_token } });

  for (const { answer } of restartable.proxy.requests) {
    const token = String(answer.id_token);
    await recorder.ask('POST', '/v1/jwt/verify', { key, body: { token } });
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    secrets.add('ID token', forged);
    await recorder.ask('POST', '/v1/jwt/verify', { key, body: { token: forged, audience: 'another-service' } });
  }

  restartable.provider.withdrawGrants();
  await recorder.ask('POST', `/v1/connections/${id}/refresh`, { key, body: {} });
  await recorder.ask('GET', `/v1/connections/${id}/token`, { key });
  const again = await recorder.createConnectSession({ integration: INTEGRATION, owner: 'user_42', connection_id: id });
  await recorder.browse(again.url, { login: 'alice' });
  await recorder.ask('GET', `/v1/connections/${id}/token`, { key });
  return id;
}

/** Two-phase sessions: one that is finished, one whose finish is refused, and one whose code is never used. */
export async function runTwoPhase({ recorder, secrets }: CanaryContext, { service: key }: Callers): Promise<void> {
  for (const by of ['user_45', 'user_46', undefined]) {
    const owner = 'user_45';
    const session = { integration: INTEGRATION, owner, return_url: `${APP}app?tab=1`, finish: true };
    const { id, url } = await recorder.createConnectSession({ ...session, label: `finished by ${by}` });
    const { url: returned } = await recorder.browse(url, { login: 'carol', stopAt: APP });
    const finish_code = returned.searchParams.get('finish_code');
    secrets.add('finish code', finish_code);
    const path = `/v1/connect-sessions/${id}/finish`;
    await recorder.ask('POST', path, { key, body: { finish_code: `${finish_code?.slice(0, -8)}AAAAAAAA`, owner } });
    if (by !== undefined) await recorder.ask('POST', path, { key, body: { finish_code, owner: by } });
    await recorder.ask('GET', `/v1/connect-sessions/${id}`, { key });
  }
  await recorder.ask('GET', '/v1/connect-sessions?owner=user_45', { key });
}

/** Errors in the browser: cancelled, repeated, forged and stolen callbacks. */
/** Agent sessions: used, refused, mistyped and ended. */
export async function runAgentSessions({ recorder, secrets }: CanaryContext, { service: key }: Callers): Promise<void> {
  const wanted = {
    owner: 'user_42',
    integrations: [INTEGRATION],
    actions: ['token', 'proxy', 'sessions'],
    purpose: 'canary',
  };
  const { body: session } = await recorder.ask('POST', '/v1/sessions', { key, body: { ...wanted, max_uses: 5 } });
  if (typeof session.id !== 'string') throw new Error(`no session was made: ${JSON.stringify(session)}`);
  const token = String(session.token);
  const mistyped = `${token.slice(0, -1)}_`;
  secrets.add('session token', mistyped);
  const path = `/v1/token?integration=${INTEGRATION}&owner=user_42&label=work`;
  for (const presented of [token, mistyped, `${token}x`]) {
    await recorder.ask('GET', path, { key: presented });
    await recorder.ask('GET', `${path}&token=${presented}`, { key: presented });
    await recorder.ask('GET', `/v1/sessions/${presented}`, { key });
    await recorder.ask('GET', '/v1/callers', { key: presented });
    await recorder.ask('POST', '/v1/sessions', {
      key: presented,
      body: { ...wanted, owner: 'user_43', ttl: presented },
    });
  }
  for (let i = 0; i < 5; i++) await recorder.ask('GET', '/v1/whoami', { key: token });
  await recorder.ask('DELETE', `/v1/sessions/${session.id}`, { key });
  await recorder.ask('GET', path, { key: token });
}

export async function runBrowserErrors({ restartable, recorder }: CanaryContext): Promise<void> {
  const session = { integration: INTEGRATION, owner: 'user_43', return_url: `${APP}app?tab=1` };
  const callback = `${restartable.current().url}/oauth2/callback/`;
  const cancelled = await recorder.createConnectSession(session);
  await recorder.browse(cancelled.url, { cancel: true, stopAt: APP });
  await recorder.browse(cancelled.url, { stopAt: APP });
  const taken = await recorder.createConnectSession({ integration: INTEGRATION, owner: 'user_44' });
  const { url, jar } = await recorder.browse(taken.url, { login: 'bob', stopAt: callback });
  await recorder.browse(taken.url);
  await recorder.browse(url.href);
  await recorder.browse(url.href.replace(/state=[^&]+/, `state=${randomSecret()}`), { jar });
  await recorder.browse(url.href.replace(INTEGRATION, 'other'), { jar });
  await recorder.browse(url.href, { jar });
  await recorder.browse(`${taken.url.slice(0, -8)}AAAAAAAA`);
}

/** A provider that echoes secrets: in the code exchange, refreshes, revocations, and in the browser. */
export async function runEchoingProvider(context: CanaryContext, { service: key }: Callers): Promise<void> {
  const { echoingProvider: echo, recorder, secrets, restartable } = context;
  const ask = recorder.ask;
  for (const name of Object.keys(ECHOES)) {
    const integration = `echo_${name}`;
    const client_secret = secretWithSpecialCharacters();
    secrets.add('client secret', client_secret);
    const params = {
      authorization_url: `${echo.url}/authorize`,
      token_url: `${echo.url}/token/${name}`,
      revocation_url: `${echo.url}/revoke/${name}`,
    };
    const body = { provider: 'generic-oauth2', client_id: 'valetkey', client_secret, scopes: ['read'], params };
    await ask('PUT', `/v1/integrations/${integration}`, { body });

    const { url } = await recorder.createConnectSession({ integration, owner: 'user_42', label: 'flow' });
    const { jar, url: at } = await recorder.browse(url, { stopAt: echo.url });
    const response = new URLSearchParams({ state: at.searchParams.get('state')!, code: secretWithSpecialCharacters() });
    await recorder.browse(`${restartable.current().url}/oauth2/callback/${integration}?${response}`, { jar });

    const credentials = {
      refresh_token: secretWithSpecialCharacters(),
      access_token: secretWithSpecialCharacters(),
      expires_at: '2020-01-01T00:00:00Z',
    };
    secrets.add('refresh token', credentials.refresh_token);
    secrets.add('access token', credentials.access_token);
    const imported = await ask('POST', '/v1/connections', {
      key,
      body: { integration, owner: 'user_42', credentials },
    });
    const path = `/v1/connections/${imported.body.id}`;
    await ask('GET', `${path}/token`, { key });
    await ask('GET', path, { key });
    await ask('DELETE', path, { key });
    await ask('GET', path, { key });
  }

  const { url } = await recorder.createConnectSession({ integration: 'echo_description', owner: 'user_43' });
  const { jar, url: at } = await recorder.browse(url, { stopAt: echo.url });
  const state = at.searchParams.get('state')!;
  const response = new URLSearchParams({ state, error: 'server_error', error_description: `for ${state}` });
  await recorder.browse(`${restartable.current().url}/oauth2/callback/echo_description?${response}`, { jar });
}

/** Revokes one connection and in bulk, while the provider cannot be reached. */
export async function revokeDuringOutage(
  { restartable, recorder, secrets, echoingProvider: echo }: CanaryContext,
  id: string,
  { service: key }: Callers,
) {
  const proxy: ProviderProxy = restartable.proxy;
  const owners = ['user_60', 'user_61'];
  for (const owner of owners) {
    const refresh_token = await restartable.mintRefreshToken(owner);
    secrets.add('refresh token', refresh_token);
    const body = { integration: INTEGRATION, owner, credentials: { refresh_token } };
    const imported = await recorder.ask('POST', '/v1/connections', { key, body });
    await recorder.ask('GET', `/v1/connections/${imported.body.id}/token`, { key });
  }
  const vendor = {
    provider: 'vendor',
    client_id: 'valetkey',
    client_secret: randomSecret(),
    params: { base: echo.url },
  };
  secrets.add('client secret', vendor.client_secret);
  await recorder.ask('PUT', '/v1/integrations/vendor', { body: vendor });
  for (const label of ['description', 'hung_up']) {
    const credentials = { access_token: secretWithSpecialCharacters() };
    secrets.add('access token', credentials.access_token);
    const body = { integration: 'vendor', owner: 'user_62', label, params: { echo: label }, credentials };
    const imported = await recorder.ask('POST', '/v1/connections', { key, body });
    await recorder.ask('DELETE', `/v1/connections/${imported.body.id}`, { key });
  }
  proxy.setRule('cut');
  const single = await recorder.ask('DELETE', `/v1/connections/${id}`, { key });
  const bulk = await recorder.ask('POST', '/v1/connections/revoke', { key, body: { integration: INTEGRATION } });
  await recorder.ask('GET', `/v1/connections/${id}/token`, { key });
  return { single: single.body, bulk: bulk.body };
}

/** Requests with secrets in the wrong places, and with keys that are not accepted. */
export async function sendMisplacedSecrets(
  { recorder, secrets, restartable }: CanaryContext,
  callers: Callers,
): Promise<void> {
  const { ask } = recorder;
  const [token, secret, unknown] = [randomSecret(), randomSecret(), `vk_${randomSecret()}`];
  secrets.add('refresh token', token);
  secrets.add('client secret', secret);
  secrets.add('unknown key', unknown);
  for (const key of [unknown, callers.deleted, callers.limited, null])
    for (const path of [`/v1/token?integration=${INTEGRATION}&owner=user_42`, '/v1/audit', '/v1/connections'])
      await ask('GET', path, { key });
  await ask('GET', '/v1/connections', { key: null, headers: { authorization: `Basic ${unknown}` } });

  const bodies: [method: string, path: string, body: unknown][] = [
    ['POST', '/v1/connections', `{"credentials": {"refresh_token": "${token}", }`],
    ['POST', '/v1/connections', `refresh_token=${token}`],
    ['POST', '/v1/connections', token],
    ['POST', '/v1/connections', { integration: INTEGRATION, owner: 'o', credentials: { refreshToken: token } }],
    ['POST', '/v1/connections', { integration: INTEGRATION, owner: 'o', credentials: { [token]: token } }],
    ['POST', '/v1/connections', { integration: INTEGRATION, owner: 'o', credentials: [token] }],
    [
      'POST',
      '/v1/connections',
      { integration: INTEGRATION, owner: 'o', credentials: { access_token: token, expires_at: token } },
    ],
    [
      'POST',
      '/v1/connections',
      { integration: INTEGRATION, owner: 'o', params: { tenant: token }, credentials: { access_token: token } },
    ],
    ['POST', '/v1/connections', { integration: token, owner: 'o', credentials: { access_token: token } }],
    ['PUT', `/v1/integrations/${INTEGRATION}`, { ...restartable.integrationBody, client_secret: [secret] }],
    ['PUT', `/v1/integrations/${INTEGRATION}`, { ...restartable.integrationBody, secret }],
    ['PUT', `/v1/integrations/${INTEGRATION}`, { ...restartable.integrationBody, provider: secret }],
    [
      'PUT',
      `/v1/integrations/${INTEGRATION}`,
      { ...restartable.integrationBody, params: { issuer: `https://id.example/?key=${secret}` } },
    ],
    [
      'PUT',
      `/v1/integrations/${INTEGRATION}`,
      { ...restartable.integrationBody, overrides: { token_url: `http://me:${secret}@192.0.2.1/${secret}` } },
    ],
    ['POST', '/v1/callers', { name: 'a', grants: [{ actions: [secret], integrations: ['*'], owners: ['*'] }] }],
    [
      'POST',
      '/v1/connect-sessions',
      { integration: INTEGRATION, owner: 'o', return_url: `https://elsewhere.example/${token}` },
    ],
    ['POST', '/v1/connect-sessions', { integration: INTEGRATION, owner: 'o', connection_id: token }],
    ['POST', '/v1/jwt/verify', { token, issuer: token, audience: token }],
    ['POST', '/v1/jwt/verify-batch', { tokens: [{ token }], typ: token, claims: { [token]: [token] }, nonce: token }],
    ['POST', '/v1/connections/revoke', { refresh_token: token }],
    [
      'POST',
      '/v1/connections',
      JSON.stringify({ credentials: { refresh_token: token }, padding: 'x'.repeat(200_000) }),
    ],
  ];
  for (const [method, path, body] of bodies) await ask(method, path, { body });
  await ask('POST', '/v1/connections', { body: token, headers: { 'content-type': 'text/plain' } });

  const paths = [
    `/v1/connections/${token}`,
    `/v1/connections/${token}/token`,
    `/v1/connect-sessions/${token}`,
    `/v1/integrations/${token}`,
    `/v1/providers/${token}`,
    `/v1/tokens/${token}`,
    `/v1/token?integration=${token}&owner=o`,
    `/v1/token?integration=${INTEGRATION}&owner=nobody&label=none&access_token=${token}`,
    `/v1/connections?cursor=${token}`,
    `/v1/connections?status=${token}`,
    `/v1/connections?limit=${token}`,
    `/v1/audit?from=${token}`,
    `/v1/connections/x/token?min_ttl=${token}`,
    `/${token}`,
    `/connect/${token}`,
    `/connect/${token}/`,
    `//connect/${token}`,
    `/oauth2/callback/${token}?code=${token}&state=${token}`,
    `/oauth2/callback?code=${token}&state=${token}`,
  ];
  for (const path of paths) await ask('GET', path.startsWith('//') ? `${restartable.current().url}${path}` : path);
  for (const path of [
    `/v1/callers/${token}`,
    `/v1/callers/${token}/keys/${token}`,
    `/v1/connections/${token}`,
    `/v1/integrations/${token}`,
  ])
    await ask('DELETE', path);
  await ask('POST', `/v1/callers/${token}/keys`, { body: {} });
  await ask('PUT', `/v1/integrations/${token}`, { body: restartable.integrationBody });
}
