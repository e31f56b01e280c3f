// Runs every auth mode with an echoing provider: configures its secrets, uses them, and reads everything back.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Json } from './broker.ts';
import { ECHOES } from './echoing-provider.ts';
import { type Callers, type CanaryContext, randomSecret } from './lifecycle.ts';
import type { Secrets } from './secrets.ts';

/** Sixteen characters: too short for the redaction of token-like text, so only known secrets are redacted. */
const shortSecret = () => randomBytes(12).toString('base64url');

const text = (title: string) => ({ title });
const TOKEN_ENDPOINT = { token_url: '{base}/token/{echo}' };
const ASSERTION = { alg: 'ES256', claims: { iss: '{client_email}', aud: '{token_url}' } };
const FILE = { format: 'json', members: ['client_email', 'private_key'] };
const serviceAccountField = { service_account_json: { ...text('key file'), ...FILE } };
const customerClientFields = { client_id: text('client id'), client_secret: text('client secret') };
const clientCredentialsMode = (client_auth: string, more: Json = {}) => ({
  mode: 'oauth2_client_credentials',
  variant: client_auth,
  ...TOKEN_ENDPOINT,
  client_auth: [client_auth],
  credentials: customerClientFields,
  ...more,
});

/** A catalogue entry with every mode. Its endpoints are at `{base}`, and `{echo}` selects the response. */
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
    { mode: 'jwt_bearer', variant: 'file', ...TOKEN_ENDPOINT, assertion: ASSERTION, credentials: serviceAccountField },
    {
      mode: 'jwt_bearer',
      variant: 'bearer',
      ...TOKEN_ENDPOINT,
      assertion: ASSERTION,
      credentials: serviceAccountField,
      presented: 'bearer',
    },
    { mode: 'self_signed_jwt', variant: 'signed', credentials: { private_key: { ...text('key'), format: 'pem' } } },
    clientCredentialsMode('client_secret_basic'),
    clientCredentialsMode('client_secret_post'),
    clientCredentialsMode('client_secret_jwt'),
    clientCredentialsMode('secret_as_username'),
    clientCredentialsMode('client_secret_basic_raw', { variant: 'bound', dpop: 'true' }),
    {
      mode: 'jwt_bearer',
      variant: 'own_key',
      ...TOKEN_ENDPOINT,
      assertion: { alg: 'ES256' },
      client_auth: ['private_key_jwt'],
    },
    { mode: 'oauth2_client_credentials', ...TOKEN_ENDPOINT, client_auth: ['private_key_jwt', 'client_secret_basic'] },
    {
      mode: 'aws_sts_assume_role',
      ...TOKEN_ENDPOINT,
      region: 'eu-west-1',
      role_arn: 'arn:aws:iam::1:role/r',
      external_id: '1',
    },
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

/** The common beginning of the PEM of P-256 keys. */
const P256 = 'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg';

/** Registers a P-256 key as a secret: whole, in one line, line by line, and its private number. */
export function registerKey(secrets: Secrets, kind: string, pem: string, number?: string): string {
  const lines = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-'));
  secrets.add(kind, pem);
  secrets.add(`${kind} in one line`, lines.join(''));
  for (const line of lines) secrets.add(`line of a ${kind}`, line.replace(P256, ''));
  secrets.add(`number of a ${kind}`, number);
  return pem;
}

function newKey(secrets: Secrets, kind: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return registerKey(
    secrets,
    kind,
    privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    privateKey.export({ format: 'jwk' }).d,
  );
}

interface ModeCase {
  mode: string;
  client?: Json;
  credentials: Json[];
}

/** Client settings and imported credentials for each mode. */
function modeCases(secrets: Secrets): ModeCase[] {
  const register = (kind: string, value: string) => {
    secrets.add(kind, value.trim());
    return value;
  };
  const pairs = [`1//0${randomSecret()}+/=%&"${randomSecret()}`, shortSecret(), `${shortSecret()}\n`].map(
    (password) => ({
      username: 'user',
      password: register('password', password),
    }),
  );
  for (const { username, password } of pairs) register('pair', btoa(`${username}:${password}`));
  const clients = pairs.map((_, i) => ({
    client_id: 'me',
    client_secret: register(
      'customer secret',
      [shortSecret(), `${shortSecret()}\n`, `${randomSecret()}+/=%&"${randomSecret()}`][i]!,
    ),
  }));
  const file = () => {
    const private_key = newKey(secrets, 'service account key');
    return {
      service_account_json: register('key file', JSON.stringify({ client_email: 'a@example.com', private_key })),
    };
  };
  const own = { client_id: 'valetkey', private_key: newKey(secrets, 'integration key') };
  const keys = { access_key_id: 'AKIAIOSFODNN7EXAMPLE', secret_access_key: register('AWS key', `${randomSecret()}+/`) };
  return [
    {
      mode: 'api_key',
      credentials: [shortSecret(), randomSecret()].map((api_key) => ({ api_key: register('API key', api_key) })),
    },
    { mode: 'basic', credentials: pairs },
    { mode: 'aws_sigv4', credentials: [{ ...keys, session_token: register('session token', randomSecret()) }] },
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
      client: { client_id: 'me', client_secret: register('client secret', shortSecret()) },
      credentials: [{}],
    },
    {
      mode: 'aws_sts_assume_role',
      client: { client_id: 'AKIAIOSFODNN7EXAMPLE', client_secret: register('client secret', `${randomSecret()}+/`) },
      credentials: [{}],
    },
  ];
}

/** Runs every mode with a provider that succeeds, and with each of its echoes. */
export async function runEveryMode(
  { echoingProvider: echo, recorder, secrets, restartable }: CanaryContext,
  { service: key }: Callers,
) {
  const { ask } = recorder;
  const names = ['issue', ...Object.keys(ECHOES)];

  async function importAndUse({ mode, client, credentials }: ModeCase, number: number): Promise<void> {
    const asks = !['api_key', 'basic', 'aws_sigv4', 'signed'].includes(mode);
    for (const answer of asks ? names : ['issue']) {
      const integration = `every_${number}_${answer}`;
      const body = { provider: 'every', client_id: 'none', ...client, params: { base: echo.url, mode } };
      await ask('PUT', `/v1/integrations/${integration}`, { body });
      for (const values of credentials) {
        const imported = { integration, owner: randomSecret(), params: { echo: answer }, credentials: values };
        const { body: created } = await ask('POST', '/v1/connections', { key, body: imported });
        const path = `/v1/connections/${created.id}`;
        await ask('GET', `${path}/token`, { key });
        await ask('POST', `${path}/refresh`, { key, body: {} });
        await ask('GET', path, { key });
      }
      await ask('GET', `/v1/integrations/${integration}`);
    }
  }

  async function connectAndUse(answer: string): Promise<void> {
    const integration = `swap_${answer}`;
    const client_secret = shortSecret();
    secrets.add('client secret', client_secret);
    const client = { provider: 'every', client_id: 'me', client_secret };
    const body = { ...client, params: { base: echo.url, mode: 'oauth2_code' } };
    await ask('PUT', `/v1/integrations/${integration}`, { body });
    const { url, id } = await recorder.createConnectSession({
      integration,
      owner: 'user_70',
      params: { echo: answer },
    });
    const { jar, url: at } = await recorder.browse(url, { stopAt: echo.url });
    const back = new URLSearchParams({ state: at.searchParams.get('state')!, code: randomSecret() });
    await recorder.browse(`${restartable.current().url}/oauth2/callback/${integration}?${back}`, { jar });
    const { body: session } = await ask('GET', `/v1/connect-sessions/${id}`, { key });
    const tokens = { access_token: shortSecret(), refresh_token: shortSecret() };
    for (const token of Object.values(tokens)) secrets.add('imported token', token);
    const importBody = { integration, owner: 'user_71', params: { echo: answer }, credentials: tokens };
    const { body: imported } = await ask('POST', '/v1/connections', { key, body: importBody });
    for (const connection of [session.connection_id, imported.id]) {
      const path = `/v1/connections/${connection}`;
      await ask('GET', `${path}/token`, { key });
      await ask('POST', `${path}/refresh`, { key, body: {} });
      await ask('GET', path, { key });
      await ask('DELETE', path, { key });
      await ask('GET', path, { key });
    }
  }

  // Concurrently, since most of it is waiting.
  await Promise.all([...modeCases(secrets).map(importAndUse), ...names.map(connectAndUse)]);
}

/** Sends keys in the wrong places, and malformed ones. */
export async function sendMisplacedKeys(
  { echoingProvider: echo, recorder, secrets }: CanaryContext,
  certificate: string,
): Promise<void> {
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
    const { body: created } = await ask('POST', '/v1/connections', { body });
    await ask('GET', `/v1/connections/${created.id}/token`);
    await ask('GET', `/v1/connections/${created.id}`);
    await ask('GET', `/v1/integrations/${integration}`);
  }
  for (const mode of ['api_key', 'file', 'signed', 'client_secret_post']) {
    const integration = `misplaced_${mode}`;
    const body = { ...client, params: { base: echo.url, mode } };
    await ask('PUT', `/v1/integrations/${integration}`, { body });
    const importAndUse = (credentials: unknown) =>
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
      const { body: created } = await importAndUse(credentials);
      if (created.id === undefined) continue;
      await ask('GET', `/v1/connections/${created.id}/token`);
      await ask('GET', `/v1/connections/${created.id}`);
      await ask('DELETE', `/v1/connections/${created.id}`);
    }
  }
}
