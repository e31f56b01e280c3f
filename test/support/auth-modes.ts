// What integrations sign with and imports bring, in every mode: given, used at a provider that repeats it, and shown.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Json } from './broker.ts';
import { ECHOES } from './echoing-provider.ts';
import { type Callers, random, type Stage } from './lifecycle.ts';
import type { Secrets } from './secrets.ts';

/** Sixteen characters: so short that nothing gives it away but that it was sent. */
const brief = () => randomBytes(12).toString('base64url');

const text = (title: string) => ({ title });
const ASKED = { token_url: '{base}/token/{echo}' };
const SIGNED = { alg: 'ES256', claims: { iss: '{client_email}', aud: '{token_url}' } };
const FILE = { format: 'json', members: ['client_email', 'private_key'] };
const account = { service_account_json: { ...text('key file'), ...FILE } };
const customer = { client_id: text('client id'), client_secret: text('client secret') };
const byCustomer = (client_auth: string, more: Json = {}) => ({
  mode: 'oauth2_client_credentials',
  variant: client_auth,
  ...ASKED,
  client_auth: [client_auth],
  credentials: customer,
  ...more,
});

/** A catalogue entry. Its endpoints are at `{base}`, and `{echo}` says how they answer. */
export const EVERY_MODE = {
  id: 'every',
  name: 'Every mode',
  category: 'generic',
  docs_url: 'https://every.example/docs',
  confidence: 'unverified',
  params: { base: { title: 'base URL', pattern: 'http://127\\.0\\.0\\.1:\\d+' } },
  connection_params: { echo: { title: 'echo', pattern: '[a-z_]+' } },
  auth: [
    { mode: 'api_key' },
    { mode: 'basic' },
    { mode: 'aws_sigv4' },
    { mode: 'jwt_bearer', variant: 'file', ...ASKED, assertion: SIGNED, credentials: account },
    { mode: 'jwt_bearer', variant: 'bearer', ...ASKED, assertion: SIGNED, credentials: account, presented: 'bearer' },
    { mode: 'self_signed_jwt', variant: 'signed', credentials: { private_key: { ...text('key'), format: 'pem' } } },
    byCustomer('client_secret_basic'),
    byCustomer('client_secret_post'),
    byCustomer('client_secret_jwt'),
    byCustomer('secret_as_username'),
    byCustomer('client_secret_basic_raw', { variant: 'bound', dpop: 'true' }),
    { mode: 'jwt_bearer', variant: 'own_key', ...ASKED, assertion: { alg: 'ES256' }, client_auth: ['private_key_jwt'] },
    { mode: 'oauth2_client_credentials', ...ASKED, client_auth: ['private_key_jwt', 'client_secret_basic'] },
    { mode: 'aws_sts_assume_role', ...ASKED, region: 'eu-west-1', role_arn: 'arn:aws:iam::1:role/r', external_id: '1' },
    {
      mode: 'oauth2_code',
      authorization_url: '{base}/authorize',
      token_url: '{base}/token/issue',
      token_answer: { capture: { team: 'team' } },
      token_exchange: {
        url: '{base}/swap/{echo}',
        method: 'GET',
        params: { access_token: '{access_token}', client_secret: '{client_secret}' },
      },
      refresh: { url: '{base}/token/{echo}' },
      revocation: { style: 'request', method: 'DELETE', url: '{base}/revoke/{echo}/{access_token}', auth: 'bearer' },
    },
  ],
};

/** How the PEM of every P-256 key begins. */
const P256 = 'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg';

/** A P-256 key, looked for as one, in one line, line by line, and by its number. */
export function plantKey(secrets: Secrets, kind: string, pem: string, number?: string): string {
  const lines = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-'));
  secrets.add(kind, pem);
  secrets.add(`${kind} in one line`, lines.join(''));
  for (const line of lines) secrets.add(`line of a ${kind}`, line.replace(P256, ''));
  secrets.add(`number of a ${kind}`, number);
  return pem;
}

function newKey(secrets: Secrets, kind: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return plantKey(
    secrets,
    kind,
    privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    privateKey.export({ format: 'jwk' }).d,
  );
}

interface Trial {
  mode: string;
  client?: Json;
  credentials: Json[];
}

/** What each mode is given: by the integration, and by imports. */
function trials(secrets: Secrets): Trial[] {
  const plant = (kind: string, value: string) => {
    secrets.add(kind, value.trim());
    return value;
  };
  const pairs = [`1//0${random()}+/=%&"${random()}`, brief(), `${brief()}\n`].map((password) => ({
    username: 'user',
    password: plant('password', password),
  }));
  for (const { username, password } of pairs) plant('pair', btoa(`${username}:${password}`));
  const clients = pairs.map((_, i) => ({
    client_id: 'me',
    client_secret: plant('customer secret', [brief(), `${brief()}\n`, `${random()}+/=%&"${random()}`][i]!),
  }));
  const file = () => {
    const private_key = newKey(secrets, 'service account key');
    return { service_account_json: plant('key file', JSON.stringify({ client_email: 'a@example.com', private_key })) };
  };
  const own = { client_id: 'valetkey', private_key: newKey(secrets, 'integration key') };
  const keys = { access_key_id: 'AKIAIOSFODNN7EXAMPLE', secret_access_key: plant('AWS key', `${random()}+/`) };
  return [
    { mode: 'api_key', credentials: [brief(), random()].map((api_key) => ({ api_key: plant('API key', api_key) })) },
    { mode: 'basic', credentials: pairs },
    { mode: 'aws_sigv4', credentials: [{ ...keys, session_token: plant('session token', random()) }] },
    { mode: 'file', credentials: [file()] },
    { mode: 'bearer', credentials: [file()] },
    { mode: 'signed', credentials: [{ private_key: newKey(secrets, 'imported key') }] },
    { mode: 'client_secret_basic', credentials: clients },
    { mode: 'client_secret_post', credentials: clients },
    { mode: 'client_secret_jwt', credentials: clients },
    { mode: 'secret_as_username', credentials: clients },
    { mode: 'bound', credentials: clients },
    { mode: 'own_key', client: own, credentials: [{}] },
    { mode: 'oauth2_client_credentials', client: own, credentials: [{}] },
    {
      mode: 'oauth2_client_credentials',
      client: { client_id: 'me', client_secret: plant('client secret', brief()) },
      credentials: [{}],
    },
    {
      mode: 'aws_sts_assume_role',
      client: { client_id: 'AKIAIOSFODNN7EXAMPLE', client_secret: plant('client secret', `${random()}+/`) },
      credentials: [{}],
    },
  ];
}

/** Every mode, at a provider that answers well and in each of the ways that repeat what it was sent. */
export async function liveInEveryMode({ echo, recorder, secrets, house }: Stage, { service: key }: Callers) {
  const { ask } = recorder;
  const names = ['issue', ...Object.keys(ECHOES)];

  async function bring({ mode, client, credentials }: Trial, number: number): Promise<void> {
    const asks = !['api_key', 'basic', 'aws_sigv4', 'signed'].includes(mode);
    for (const answer of asks ? names : ['issue']) {
      const integration = `every_${number}_${answer}`;
      const body = { provider: 'every', client_id: 'none', ...client, params: { base: echo.url, mode } };
      await ask('PUT', `/v1/integrations/${integration}`, { body });
      for (const brought of credentials) {
        const imported = { integration, owner: random(), params: { echo: answer }, credentials: brought };
        const { body: made } = await ask('POST', '/v1/connections', { key, body: imported });
        const path = `/v1/connections/${made.id}`;
        await ask('GET', `${path}/token`, { key });
        await ask('POST', `${path}/refresh`, { key, body: {} });
        await ask('GET', path, { key });
      }
      await ask('GET', `/v1/integrations/${integration}`);
    }
  }

  async function swap(answer: string): Promise<void> {
    const integration = `swap_${answer}`;
    const client_secret = brief();
    secrets.add('client secret', client_secret);
    const client = { provider: 'every', client_id: 'me', client_secret };
    const body = { ...client, params: { base: echo.url, mode: 'oauth2_code' } };
    await ask('PUT', `/v1/integrations/${integration}`, { body });
    const { url, id } = await recorder.invite({ integration, owner: 'user_70', params: { echo: answer } });
    const { jar, url: at } = await recorder.walk(url, { stopAt: echo.url });
    const back = new URLSearchParams({ state: at.searchParams.get('state')!, code: random() });
    await recorder.walk(`${house.broker().url}/oauth2/callback/${integration}?${back}`, { jar });
    const { body: session } = await ask('GET', `/v1/connect-sessions/${id}`, { key });
    const tokens = { access_token: brief(), refresh_token: brief() };
    for (const token of Object.values(tokens)) secrets.add('imported token', token);
    const adopted = { integration, owner: 'user_71', params: { echo: answer }, credentials: tokens };
    const { body: imported } = await ask('POST', '/v1/connections', { key, body: adopted });
    for (const connection of [session.connection_id, imported.id]) {
      const path = `/v1/connections/${connection}`;
      await ask('GET', `${path}/token`, { key });
      await ask('POST', `${path}/refresh`, { key, body: {} });
      await ask('GET', path, { key });
      await ask('DELETE', path, { key });
      await ask('GET', path, { key });
    }
  }

  // At once, since most of it is waiting.
  await Promise.all([...trials(secrets).map(bring), ...names.map(swap)]);
}

/** Credentials where they do not belong, or not as they must be. */
export async function misplaceKeys({ echo, recorder, secrets }: Stage, certificate: string): Promise<void> {
  const { ask } = recorder;
  const pem = newKey(secrets, 'misplaced key');
  const client = { provider: 'every', client_id: 'none', params: { base: echo.url, mode: 'own_key' } };
  const setups: Json[] = [
    { private_key: pem.replace('-----BEGIN', '') },
    { private_key: [pem] },
    { private_key: `${certificate}${pem}` },
    { certificate: pem },
    { certificate: `${certificate}${pem}` },
    { certificate: `${certificate.trim()}${pem}` },
    { certificate, private_key: `${pem.slice(0, 60)}\n${pem.slice(90)}` },
    { [pem]: pem },
  ];
  for (const [i, setup] of setups.entries()) {
    const integration = `misplaced_${i}`;
    await ask('PUT', `/v1/integrations/${integration}`, { body: { ...client, ...setup } });
    const body = { integration, owner: 'o', params: { echo: 'issue' }, credentials: {} };
    const { body: made } = await ask('POST', '/v1/connections', { body });
    await ask('GET', `/v1/connections/${made.id}/token`);
    await ask('GET', `/v1/connections/${made.id}`);
    await ask('GET', `/v1/integrations/${integration}`);
  }
  for (const mode of ['api_key', 'file', 'signed', 'client_secret_post']) {
    const integration = `misplaced_${mode}`;
    const body = { ...client, params: { base: echo.url, mode } };
    await ask('PUT', `/v1/integrations/${integration}`, { body });
    const bring = (credentials: unknown) =>
      ask('POST', '/v1/connections', { body: { integration, owner: 'o', params: { echo: 'issue' }, credentials } });
    for (const credentials of [
      { private_key: pem, api_key: pem },
      { private_key: pem.slice(20) },
      { private_key: `${pem.slice(0, 60)}\n${pem.slice(90)}` },
      { service_account_json: pem },
      { service_account_json: `{"client_email": "a", "private_key": ${JSON.stringify(pem)}` },
      { service_account_json: JSON.stringify({ private_key: pem }) },
      { service_account_json: JSON.stringify({ client_email: pem, private_key: pem.slice(40) }) },
      { service_account_json: { private_key: pem } },
      { client_id: pem, client_secret: [pem] },
      { [pem]: 'x' },
      pem,
    ]) {
      const { body: made } = await bring(credentials);
      if (made.id === undefined) continue;
      await ask('GET', `/v1/connections/${made.id}/token`);
      await ask('GET', `/v1/connections/${made.id}`);
      await ask('DELETE', `/v1/connections/${made.id}`);
    }
  }
}
