// The demo: a local OpenID Provider, the broker on an embedded database, and the whole life of one connection. `--once`
// exits after the steps; otherwise both keep running. No request leaves this machine.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { inspect, parseArgs, styleText } from 'node:util';
import * as oidc from 'openid-client';
import { type RunningBroker, startBroker } from './broker.ts';
import { walkThrough } from './browser.ts';
import { type LocalProvider, startProvider } from './provider.ts';
import { type EventEndpoint, signed, startEndpoint } from './webhooks.ts';

const { values: flags } = parseArgs({ options: { once: { type: 'boolean', default: false } } });
const OWNER = 'user_42';
const INTEGRATION = 'acme';

type Answer = Record<string, unknown>;

/** Members that hold secrets: the demo prints them shortened. */
const SECRET = /^(access_token|refresh_token|client_secret|secret|secrets|key|token|rejected_token|url)$/;

/** The provider of the demo: an OpenID Provider that also says by webhook when a grant has ended. */
const PROVIDER = 'acme';
const WEBHOOK_SECRET = `whsec_${randomBytes(32).toString('base64')}`;

/** A copy for printing, with secrets shortened, and without members that are null. */
function shown(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => shown(item, key));
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).filter(([, item]) => item !== null);
    return Object.fromEntries(members.map(([name, item]) => [name, shown(item, name)]));
  }
  const secret = SECRET.test(key) && typeof value === 'string' && value.length > 24;
  return secret ? `${value.slice(0, 20)}… (${value.length} characters)` : value;
}

function print(mark: string, value: unknown): void {
  const text = inspect(shown(value), { depth: 6, compact: 5, breakLength: 100, colors: process.stdout.isTTY });
  console.log(`  ${mark} ${text.replaceAll('\n', '\n    ')}`);
}

let steps = 0;
function step(title: string, why: string): void {
  steps++;
  console.log(`\n${styleText('bold', `${steps}. ${title}`)}\n   ${styleText('dim', why)}`);
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`expectation failed: ${what}`);
  console.log(`  ${styleText('green', '✓')} ${what}`);
}

/** Sends one request to the broker, and prints it with the response. */
async function ask(broker: RunningBroker, key: string, method: string, path: string, body?: Answer): Promise<Answer> {
  console.log(`  ${styleText('cyan', `${method} ${path}`)}`);
  if (body !== undefined) print('→', body);
  const response = await fetch(new URL(path, broker.url), {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const answer = { ...((await response.json()) as Answer), status_code: response.status };
  const { status_code, ...rest } = answer;
  print(`← ${status_code}`, rest);
  return answer;
}

/** A user signs in to some internal app: the source of an ID token to verify. */
async function signIn(provider: LocalProvider): Promise<{ idToken: string; clientId: string }> {
  const redirectUri = 'http://127.0.0.1:9/internal-app';
  const { clientId, clientSecret } = await provider.addClient([redirectUri]);
  const plainHttp = { execute: [oidc.allowInsecureRequests] };
  const config = await oidc.discovery(new URL(provider.issuer), clientId, clientSecret, undefined, plainHttp);
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid',
    state,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const walked = await walkThrough(url, { login: 'alice', stopAt: redirectUri });
  const tokens = await oidc.authorizationCodeGrant(config, walked.url, {
    pkceCodeVerifier: verifier,
    expectedState: state,
  });
  return { idToken: tokens.id_token ?? '', clientId };
}

/** Asks the provider whether a token is active (RFC 7662). */
async function isActive({ issuer, clientId, clientSecret }: LocalProvider, token: string): Promise<boolean> {
  const plainHttp = { execute: [oidc.allowInsecureRequests] };
  const config = await oidc.discovery(new URL(issuer), clientId, clientSecret, undefined, plainHttp);
  return (await oidc.tokenIntrospection(config, token)).active;
}

async function tour(
  broker: RunningBroker,
  provider: LocalProvider,
  endpoint: EventEndpoint,
): Promise<{ serviceKey: string }> {
  const admin = broker.adminKey;

  step(
    'An admin configures an integration',
    'Once per third party: client id and secret. Everything else comes from discovery.',
  );
  const { issuer, clientId, clientSecret } = provider;
  const webhook = { secrets: [WEBHOOK_SECRET] };
  const overrides = { api_base_url: issuer };
  const client = { client_id: clientId, client_secret: clientSecret };
  const setup = { provider: PROVIDER, ...client, params: { issuer }, overrides, webhook };
  const put = await ask(broker, admin, 'PUT', `/v1/integrations/${INTEGRATION}`, setup);
  expect(
    put.status_code === 201 && !('client_secret' in put),
    'the integration is created, and the response does not contain the secret',
  );

  step('An admin creates a caller', 'The key of this internal service permits what its grants say, and nothing else.');
  const actions = ['token', 'connections:read', 'connections:write', 'jwt:verify', 'events', 'proxy', 'sessions'];
  const grants = [{ actions, integrations: [INTEGRATION], owners: ['*'] }];
  const caller = await ask(broker, admin, 'POST', '/v1/callers', { name: 'calendar-sync', grants });
  const key = String(caller.key);
  expect(caller.status_code === 201, 'the key is shown once; the broker stores only a digest');

  step(
    'The service has events sent to it',
    'It hears what its grants cover. The secret that signs them is shown once.',
  );
  const types = ['connection.created', 'connection.needs_reauth'];
  const created = await ask(broker, key, 'POST', '/v1/webhook-endpoints', { url: endpoint.url, types });
  expect(created.status_code === 201, 'each delivery will be signed, and retried for days');
  endpoint.setSecret(String(created.secret));

  step('The service creates a connect session', 'Its link works in one browser, for ten minutes.');
  const session = await ask(broker, key, 'POST', '/v1/connect-sessions', { integration: INTEGRATION, owner: OWNER });
  expect(session.status === 'pending', 'there is a link for the user');

  step(
    'The user opens the link in a browser',
    'To the provider (PKCE, state, nonce), sign in, grant access, and back.',
  );
  const walked = await walkThrough(String(session.url), { login: 'alice' });
  for (const url of walked.redirects) console.log(`  ↪ ${new URL(url).origin}${new URL(url).pathname}`);
  const done = await ask(broker, key, 'GET', `/v1/connect-sessions/${session.id}`);
  expect(done.status === 'completed', 'the account is connected');
  const id = String(done.connection_id);
  const event = await endpoint.event('connection.created');
  print('⇠', { type: event.type, data: event.data });
  expect(event.data.connection?.id === id, 'the endpoint of the service was told, and has verified the signature');

  step('The service reads a token', 'The main job. The service never sees the refresh token.');
  const served = await ask(broker, key, 'GET', `/v1/token?integration=${INTEGRATION}&owner=${OWNER}`);
  expect(await isActive(provider, String(served.access_token)), 'the provider confirms that the token is active');

  step('It reads the token again', 'From the cache this time: no database, no provider.');
  const again = await ask(broker, key, 'GET', `/v1/connections/${id}/token`);
  expect(again.access_token === served.access_token, 'it is the same token');

  step(
    'An API has rejected the token: refresh it',
    'Concurrent requests that name the rejected token cause one refresh.',
  );
  const rejected = { rejected_token: String(served.access_token) };
  const fresh = await ask(broker, key, 'POST', `/v1/connections/${id}/refresh`, rejected);
  expect(
    fresh.access_token !== served.access_token,
    'there is a new access token, and the rotated refresh token is stored',
  );

  step(
    'An agent calls the API, and never sees a token',
    'It has a session of 15 minutes, for this owner: GET calls through the broker, which attaches the token.',
  );
  const scope = { owner: OWNER, integrations: [INTEGRATION], actions: ['proxy'], methods: ['GET'], ttl: 900 };
  const why = { purpose: 'greet the user', actor: { id: 'greeter' } };
  const agent = await ask(broker, key, 'POST', '/v1/sessions', { ...scope, ...why });
  const agentToken = String(agent.token);
  const me = await ask(broker, agentToken, 'GET', `/v1/connections/${id}/proxy/me`);
  expect(me.sub === 'alice', 'the API was sent a valid token: it answers with the account');
  const written = await ask(broker, agentToken, 'POST', `/v1/connections/${id}/proxy/me`, { name: 'mallory' });
  expect(written.code === 'forbidden', 'a POST is refused, and never reaches the API');
  const kept = await ask(broker, agentToken, 'GET', `/v1/connections/${id}/token`);
  expect(kept.code === 'forbidden', 'the agent cannot read the token');
  await ask(broker, key, 'DELETE', `/v1/sessions/${agent.id}`);
  const late = await ask(broker, agentToken, 'GET', `/v1/connections/${id}/proxy/me`);
  expect(late.reason === 'ended', 'its work is done: the session is ended, and of no use any more');

  step(
    'A service verifies a JWT',
    'Here the ID token of a user who signed in to an internal app, from an issuer that an operator has listed.',
  );
  const { idToken, clientId: audience } = await signIn(provider);
  const verdict = await ask(broker, key, 'POST', '/v1/jwt/verify', { token: idToken, audience });
  expect(verdict.active === true, 'signature, issuer, audience and times are valid');

  step(
    'The provider says that the owner has withdrawn the grant',
    'By a signed webhook. Without the right signature it is refused, without a word why.',
  );
  const gone = JSON.stringify({ type: 'grant.revoked', user: 'alice' });
  const tell = async (headers: Record<string, string>) => {
    console.log(`  ${styleText('cyan', `POST /webhooks/${INTEGRATION}`)} ${gone}`);
    const url = new URL(`/webhooks/${INTEGRATION}`, broker.url);
    return (await fetch(url, { method: 'POST', headers, body: gone })).status;
  };
  const forged = signed(`whsec_${randomBytes(32).toString('base64')}`, gone);
  expect((await tell(forged)) === 401, 'a webhook with a wrong signature is refused');
  expect((await tell(signed(WEBHOOK_SECRET, gone))) === 200, "the provider's own is taken, once it is stored");
  const ended = await endpoint.event('connection.needs_reauth');
  print('⇠', { type: ended.type, data: ended.data });
  expect(ended.data.connection?.reason === 'deauthorized', 'the service is told at once that the owner must reconnect');

  step(
    'The connection is revoked',
    'Here at once, and at the provider: the refresh token first, then the access token.',
  );
  const revoked = await ask(broker, key, 'DELETE', `/v1/connections/${id}`);
  expect(revoked.upstream_revocation === 'done', 'the provider has confirmed the revocation');
  expect(!(await isActive(provider, String(fresh.access_token))), 'the provider confirms that the token is inactive');

  step('Reading its token fails from now on', 'Each error has a stable code and says what to do.');
  const refused = await ask(broker, key, 'GET', `/v1/connections/${id}/token`);
  expect(refused.code === 'connection_revoked', 'no token is served');
  return { serviceKey: key };
}

async function stayUp(broker: RunningBroker, provider: LocalProvider, serviceKey: string): Promise<void> {
  const headers = { authorization: `Bearer ${serviceKey}`, 'content-type': 'application/json' };
  const printLink = async () => {
    const body = JSON.stringify({ integration: INTEGRATION, owner: OWNER });
    const response = await fetch(new URL('/v1/connect-sessions', broker.url), { method: 'POST', headers, body });
    const { url } = (await response.json()) as { url: string };
    console.log(`\n  Connect an account   ${styleText('underline', url)}`);
  };
  console.log(
    `\n${styleText('bold', 'Now try it yourself.')} Broker and provider run until you press Ctrl+C. Sign in with any name.`,
  );
  await printLink();
  const admin = { authorization: `Bearer ${broker.adminKey}`, 'content-type': 'application/json' };
  const made = await fetch(new URL('/v1/console-links', broker.url), { method: 'POST', headers: admin, body: '{}' });
  const { url: consoleLink } = (await made.json()) as { url: string };
  console.log(`  The console          ${styleText('underline', consoleLink)} (once, within ten minutes)`);
  console.log(
    `  Acme for developers  ${styleText('underline', `${provider.issuer}/`)} (register an application, replace its secret, withdraw consents)`,
  );
  console.log(`  Then read a token    curl -H 'Authorization: Bearer ${serviceKey}' \\
                         '${broker.url}/v1/token?integration=${INTEGRATION}&owner=${OWNER}'
  API reference        ${broker.url}/docs
  Metrics              ${broker.url}/metrics
  Admin key            ${broker.adminKey}
  For docs/quickstart.md, in another terminal:
export VALETKEY_URL=${broker.url} VALETKEY_KEY=${serviceKey} API_URL=${provider.issuer}/me

  A link works once, for ten minutes. Press Enter for a new one.`);
  const lines = createInterface({ input: process.stdin });
  lines.on('line', () => void printLink());
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
    broker.process.once('exit', () => resolve());
  });
  lines.close();
}

/** A provider file of one's own: the generic entry, and what its webhooks look like. */
async function writeProvider(providers: string, docsUrl: string): Promise<void> {
  const generic = new URL('../src/catalogue/generic-oidc.json', import.meta.url);
  const { $schema: _, webhooks: __, ...entry } = JSON.parse(await readFile(generic, 'utf8'));
  const events = {
    title: 'Grants that end',
    verify: { scheme: 'standard_webhooks', key: { what: 'signing secret' } },
    event: { id: ['{header:webhook-id}'], type: ['{item:type}'] },
    connection: [{ match: 'account.id', value: '{item:user}' }],
    deauthorization: [{ when: { 'item:type': 'grant.revoked' } }],
    setup: { url: 'Settings, Webhooks', events: ['grant.revoked'] },
  };
  await mkdir(providers);
  const file = { ...entry, id: PROVIDER, name: 'Acme', docs_url: docsUrl, webhooks: { events } };
  await writeFile(join(providers, `${PROVIDER}.json`), JSON.stringify(file));
}

const folder = await mkdtemp(join(tmpdir(), 'valetkey-demo-'));
const providers = join(folder, 'providers');
const endpoint = await startEndpoint();
const started = await startProvider();
await writeProvider(providers, `${started.issuer}/`);
// The issuer of an integration is trusted for its client id alone: for the tokens of other apps, it is listed.
const config = join(folder, 'valetkey.json');
await writeFile(config, JSON.stringify({ trusted_issuers: [{ issuer: started.issuer }] }));
const broker = await startBroker({
  VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`,
  VALETKEY_CONFIG: config,
  VALETKEY_PROVIDERS_DIR: providers,
});
const provider = { ...started, ...(await started.addClient([`${broker.url}/oauth2/callback/${INTEGRATION}`])) };
try {
  console.log(`The broker listens at ${broker.url}, a local OpenID Provider at ${provider.issuer}.`);
  const { serviceKey } = await tour(broker, provider, endpoint);
  console.log(`\n${styleText(['bold', 'green'], `All ${steps} steps passed.`)}`);
  if (!flags.once) await stayUp(broker, provider, serviceKey);
} catch (error) {
  console.error(`\n${styleText('red', String(error))}\n\nOutput of the broker:\n${broker.output()}`);
  process.exitCode = 1;
} finally {
  await broker.stop();
  await endpoint.close();
  await provider.close();
  await rm(folder, { recursive: true, force: true });
}
