// The canary: a broker process with the most verbose logging runs the whole lifecycle, and then everything that it wrote,
// logged and returned is searched for every secret that it handled.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKeyRing, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import { type CredentialsPlace, decryptKeyMaterial } from '../../src/broker/secrets/token-encryption.ts';
import type { Ciphertext } from '../../src/domain/connection.ts';
import { parseStoredCredentials } from '../../src/domain/imported-credentials.ts';
import { EVERY_MODE, registerKey, runEveryMode, sendMisplacedKeys } from '../support/auth-modes.ts';
import { listenToEvents } from '../support/canary-events.ts';
import { createCertificate } from '../support/certificate.ts';
import { CAPTURED_TEAM, startEchoingProvider } from '../support/echoing-provider.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import {
  type CanaryContext,
  createCallers,
  randomSecret,
  revokeDuringOutage,
  runAgentSessions,
  runBrowserErrors,
  runConnectionLifecycle,
  runEchoingProvider,
  runTwoPhase,
  sendMisplacedSecrets,
} from '../support/lifecycle.ts';
import { runStandardInterfaces } from '../support/oauth-interfaces.ts';
import { createRecorder } from '../support/recorder.ts';
import { type RestartableBroker, startRestartableBroker } from '../support/restartable-broker.ts';
import { createSecrets, type Secrets } from '../support/secrets.ts';

/** A vendor whose revocation URL has the token in it. */
const VENDOR = {
  id: 'vendor',
  name: 'Vendor',
  category: 'generic',
  docs_url: 'https://vendor.example/docs',
  confidence: 'unverified',
  params: { base: { title: 'base URL', pattern: 'http://127\\.0\\.0\\.1:\\d+' } },
  connection_params: { echo: { title: 'echo', pattern: '[a-z_]+' } },
  auth: [
    {
      mode: 'oauth2_code',
      authorization_url: '{base}/authorize',
      token_url: '{base}/token/{echo}',
      revocation: {
        style: 'request',
        method: 'DELETE',
        url: '{base}/revoke/{echo}/{access_token}',
        auth: 'basic',
        body: 'none',
      },
    },
  ],
};

/** Outputs that may have no secrets. */
const PLACES = [
  'the database',
  'the database after the stop',
  'stdout and stderr',
  'the metrics',
  'the audit log',
  'what endpoints are sent',
  'the description of the interface',
  'refusals',
  'other answers',
] as const;
type Place = (typeof PLACES)[number];

/** The planted secret: the owner of a connect session. */
const OWNER = `owner-${randomSecret()}`;
const KEYS = [randomBytes(32), randomBytes(32)].map((key) => key.toString('base64url'));

let restartable: RestartableBroker;
let idp: Issuer;
let secrets: Secrets;
let places: Record<Place, Buffer>;
let revoked: Awaited<ReturnType<typeof revokeDuringOutage>>;

const ringOf = (keys: string[]) => keys.map((key, i) => `k${i}:${key}`).join();

const databaseOf = (folder: string) => {
  const files = readdirSync(folder).filter((name) => name.startsWith('valetkey.db'));
  return Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
};

/** The DPoP keys, which the broker generates and never shows. */
function boundKeys(path: string): string[] {
  const ring = parseKeyRing(ringOf(KEYS));
  if (!ring.ok) throw new Error(ring.issues.join());
  const vault = createKeyRing(ring.keys);
  const database = new Database(path, { readonly: true });
  const grants = database
    .prepare<[], CredentialsPlace & { credentials: Ciphertext }>(
      'select c.*, g.credentials from connections c join grants g on g.connection_id = c.id where g.credentials is not null',
    )
    .all();
  database.close();
  return grants.flatMap(({ credentials, ...place }) => {
    const { dpopKey } = parseStoredCredentials(decryptKeyMaterial(vault, place, credentials));
    return dpopKey ?? [];
  });
}

beforeAll(async () => {
  const providers = mkdtempSync(join(tmpdir(), 'valetkey-providers-'));
  for (const entry of [VENDOR, EVERY_MODE]) writeFileSync(join(providers, `${entry.id}.json`), JSON.stringify(entry));
  idp = await startIssuer();
  const declared = join(providers, '..', `declared-${randomSecret()}.json`);
  writeFileSync(declared, JSON.stringify({ trusted_issuers: [{ issuer: idp.url, exchange: true }] }));
  restartable = await startRestartableBroker({
    env: {
      VALETKEY_LOG_LEVEL: 'trace',
      VALETKEY_PROVIDERS_DIR: providers,
      VALETKEY_KEYS: ringOf(KEYS),
      VALETKEY_CONFIG: declared,
    },
  });
  secrets = createSecrets();
  for (const key of KEYS) secrets.add('key of the ring', key);
  secrets.add('admin key', restartable.adminKey);
  secrets.add('client secret', String(restartable.integrationBody.client_secret));
  const echo = await startEchoingProvider(secrets);
  const recorder = createRecorder(restartable.current(), secrets);
  const context: CanaryContext = { restartable: restartable, echoingProvider: echo, recorder, secrets };

  const callers = await createCallers(context);
  const listener = await listenToEvents(context);
  const id = await runConnectionLifecycle(context, callers);
  await runStandardInterfaces(context, callers, idp);
  await runBrowserErrors(context);
  await runAgentSessions(context, callers);
  await runTwoPhase(context, callers);
  await runEchoingProvider(context, callers);
  await sendMisplacedSecrets(context, callers);
  await runEveryMode(context, callers);
  await sendMisplacedKeys(context, createCertificate('canary').pem);
  await recorder.createConnectSession({ integration: 'acme', owner: OWNER, metadata: {} });
  revoked = await revokeDuringOutage(context, id, callers);
  for (const { form, answer } of restartable.proxy.requests) {
    secrets.add('PKCE verifier', form.get('code_verifier'));
    secrets.add('authorization code', form.get('code'));
    for (const name of ['access_token', 'refresh_token', 'id_token'] as const)
      if (answer[name] !== undefined) secrets.add(name.replace('id_', 'ID ').replace('_', ' '), String(answer[name]));
  }

  for (const list of ['connections', 'integrations', 'callers', 'providers']) await recorder.ask('GET', `/v1/${list}`);
  const sent = await listener.finish();
  const pages: unknown[] = [];
  for (let cursor: unknown = ''; cursor !== null; ) {
    const { body } = await recorder.ask('GET', `/v1/audit?limit=50${cursor && `&cursor=${cursor}`}`);
    pages.push(body.data);
    cursor = body.next_cursor;
  }
  const text = async (path: string) =>
    Buffer.from(await (await fetch(new URL(path, restartable.current().url))).text());
  const metrics = await text(`/metrics?key=${restartable.adminKey}`);
  const description = await text('/openapi.json');
  const running = databaseOf(restartable.folder);
  await restartable.current().stop();
  places = {
    'the database': running,
    'the database after the stop': databaseOf(restartable.folder),
    'stdout and stderr': Buffer.from(restartable.current().output()),
    'the metrics': metrics,
    'the audit log': Buffer.from(JSON.stringify(pages)),
    'what endpoints are sent': sent,
    'the description of the interface': description,
    refusals: recorder.errorResponses(),
    'other answers': recorder.successResponses(),
  };
  for (const key of boundKeys(join(restartable.folder, 'valetkey.db'))) registerKey(secrets, 'DPoP key', key);
  await echo.close();
  rmSync(providers, { recursive: true });
  rmSync(declared);
}, 180_000);
afterAll(() => Promise.all([restartable?.close(), idp?.close()]));

describe('canary: no secret leaks into', () => {
  it.each(PLACES)('%s', (place) => {
    expect(secrets.foundIn(places[place])).toEqual([]);
  });
});

describe('canary: the search finds planted secrets', () => {
  it('only in the places where they were planted', () => {
    const belongs: Record<string, Place[]> = {
      [OWNER]: ['the database', 'the database after the stop', 'the audit log', 'other answers'],
      [CAPTURED_TEAM]: ['the database', 'the database after the stop', 'other answers'],
      '"type":"test.ping","timestamp"': ['what endpoints are sent'],
      valetkey_http_requests_total: ['the metrics', 'the description of the interface'],
      '"event":"listening"': ['stdout and stderr'],
      CreatedConnectSession: ['the description of the interface'],
      'urn:valetkey:problem:not_found': ['the description of the interface', 'refusals'],
      '"client_secret_set":true': ['the description of the interface', 'other answers'],
    };
    const planted = createSecrets();
    for (const value of Object.keys(belongs)) planted.add(value, value);
    const found = PLACES.map((place) => [place, planted.foundIn(places[place])] as const);
    for (const [value, where] of Object.entries(belongs))
      expect(found.flatMap(([place, forms]) => (forms.includes(`${value} as it is`) ? place : []))).toEqual(where);
  });

  it.each([
    ['as it is', (value: string) => value],
    ['in JSON', (value: string) => JSON.stringify(value)],
    ['in a URL', (value: string) => encodeURIComponent(value)],
    ['in a form', (value: string) => String(new URLSearchParams({ value }))],
    ['in hex', (value: string) => Buffer.from(value).toString('hex')],
    ['in a Basic header', (value: string) => Buffer.from(`client:${value}`).toString('base64')],
    ['in base64url', (value: string) => Buffer.from(`{"a":"${value}"}`).toString('base64url')],
    ['cut off', (value: string) => value.slice(0, 30)],
    ['without its beginning', (value: string) => value.slice(-30)],
  ])('%s', (_, encode) => {
    const value = `1//0${randomSecret()}+/="%`;
    const planted = createSecrets();
    planted.add('canary', value);
    expect(planted.foundIn(Buffer.from(`some words ${encode(value)} and more`))).not.toEqual([]);
    expect(planted.foundIn(Buffer.from(`some words ${encode(randomSecret())} and more`))).toEqual([]);
  });
});

describe('canary: the run', () => {
  it('used secrets of every kind', () => {
    const counts = secrets.counts();
    console.info('secrets searched for:', JSON.stringify(counts));
    const kinds = ['access token', 'authorization code', 'caller key', 'client secret', 'connect link', 'cookie'];
    const imported = ['AWS key', 'customer secret', 'imported token', 'key file', 'password', 'session token'];
    const made = ['client assertion', 'DPoP key', 'DPoP proof', 'issued token', 'signed assertion', 'swapped token'];
    const keys = ['imported key', 'integration key', 'line of a service account key', 'misplaced key in one line'];
    const flow = [
      'finish code',
      'ID token',
      'nonce',
      'PKCE verifier',
      'refresh token',
      'state',
      'user token',
      'workload token',
    ];
    const events = ['webhook secret', 'header of an endpoint', 'response of an endpoint'];
    expect(Object.keys(counts)).toEqual(expect.arrayContaining(events));
    expect(Object.keys(counts)).toEqual(expect.arrayContaining([...kinds, ...flow, ...imported, ...made, ...keys]));
  });

  it('left revocations pending for a provider that was down', () => {
    expect(revoked.single).toMatchObject({ status: 'revoked', upstream_revocation: 'pending' });
    expect(revoked.bulk).toMatchObject({ revoked: 3, upstream_revocation: { pending: 3 } });
  });

  it('stored the secrets encrypted', () => {
    const ciphertexts = places['the database after the stop']
      .toString('latin1')
      .match(/v3\.k0\.[\w-]{16}\.[\w-]{30,}/g);
    expect(ciphertexts?.length).toBeGreaterThan(20);
  });
});
