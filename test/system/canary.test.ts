// No secret is ever found where it does not belong: the whole job runs against a broker process that tells all it can
// tell, and then everything that it wrote, printed and answered is searched for every secret that passed.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKeyRing, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import type { Ciphertext } from '../../src/domain/connection.ts';
import { openCredentials } from '../../src/domain/imported-credentials.ts';
import { EVERY_MODE, liveInEveryMode, misplaceKeys, plantKey } from '../support/auth-modes.ts';
import { certify } from '../support/certificate.ts';
import { CAPTURED, startEcho } from '../support/echoing-provider.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import {
  admitCallers,
  blunder,
  endureEchoes,
  liveOn,
  random,
  revokeInVain,
  type Stage,
  stray,
} from '../support/lifecycle.ts';
import { liveByStandards } from '../support/oauth-interfaces.ts';
import { createRecorder } from '../support/recorder.ts';
import { openRestartableBroker, type RestartableBroker } from '../support/restartable-broker.ts';
import { createSecrets, type Secrets } from '../support/secrets.ts';

/** A vendor that is told of a revocation by a URL that holds the token. */
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

/** Where nothing secret may be. */
const PLACES = [
  'the database',
  'the database after the stop',
  'stdout and stderr',
  'the metrics',
  'the audit log',
  'the description of the interface',
  'refusals',
  'other answers',
] as const;
type Place = (typeof PLACES)[number];

/** What is planted, as the owner of an invitation. */
const OWNER = `owner-${random()}`;
const KEYS = [randomBytes(32), randomBytes(32)].map((key) => key.toString('base64url'));

let house: RestartableBroker;
let idp: Issuer;
let secrets: Secrets;
let places: Record<Place, Buffer>;
let revoked: Awaited<ReturnType<typeof revokeInVain>>;

const ringOf = (keys: string[]) => keys.map((key, i) => `k${i}:${key}`).join();

const databaseOf = (folder: string) => {
  const files = readdirSync(folder).filter((name) => name.startsWith('valetkey.db'));
  return Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
};

/** The keys that tokens are bound to: made by the broker, and never told to anybody. */
function boundKeys(path: string): string[] {
  const ring = parseKeyRing(ringOf(KEYS));
  if (!ring.ok) throw new Error(ring.issues.join());
  const { decrypt } = createKeyRing(ring.keys);
  const database = new Database(path, { readonly: true });
  const grants = database
    .prepare<[], { id: string; sealed: Ciphertext }>(
      'select connection_id id, credentials sealed from grants where credentials is not null',
    )
    .all();
  database.close();
  return grants.flatMap(({ id, sealed }) => {
    const { dpopKey } = openCredentials(decrypt(sealed, { row: `connections/${id}`, column: 'credentials' }));
    return dpopKey ?? [];
  });
}

beforeAll(async () => {
  const providers = mkdtempSync(join(tmpdir(), 'valetkey-providers-'));
  for (const entry of [VENDOR, EVERY_MODE]) writeFileSync(join(providers, `${entry.id}.json`), JSON.stringify(entry));
  idp = await startIssuer();
  const declared = join(providers, '..', `declared-${random()}.json`);
  writeFileSync(declared, JSON.stringify({ trusted_issuers: [{ issuer: idp.url }] }));
  house = await openRestartableBroker({
    env: {
      VALETKEY_LOG_LEVEL: 'trace',
      VALETKEY_PROVIDERS_DIR: providers,
      VALETKEY_KEYS: ringOf(KEYS),
      VALETKEY_CONFIG: declared,
    },
  });
  secrets = createSecrets();
  for (const key of KEYS) secrets.add('key of the ring', key);
  secrets.add('admin key', house.adminKey);
  secrets.add('client secret', String(house.setup.client_secret));
  const echo = await startEcho(secrets);
  const recorder = createRecorder(house.broker(), secrets);
  const stage: Stage = { house, echo, recorder, secrets };

  const callers = await admitCallers(stage);
  const id = await liveOn(stage, callers);
  await liveByStandards(stage, callers, idp);
  await stray(stage);
  await endureEchoes(stage, callers);
  await blunder(stage, callers);
  await liveInEveryMode(stage, callers);
  await misplaceKeys(stage, certify('canary').pem);
  await recorder.invite({ integration: 'acme', owner: OWNER, metadata: {} });
  revoked = await revokeInVain(stage, id, callers);
  for (const { form, answer } of house.front.passed) {
    secrets.add('PKCE verifier', form.get('code_verifier'));
    secrets.add('authorization code', form.get('code'));
    for (const name of ['access_token', 'refresh_token', 'id_token'] as const)
      if (answer[name] !== undefined) secrets.add(name.replace('id_', 'ID ').replace('_', ' '), String(answer[name]));
  }

  for (const list of ['connections', 'integrations', 'callers', 'providers']) await recorder.ask('GET', `/v1/${list}`);
  const pages: unknown[] = [];
  for (let cursor: unknown = ''; cursor !== null; ) {
    const { body } = await recorder.ask('GET', `/v1/audit?limit=50${cursor && `&cursor=${cursor}`}`);
    pages.push(body.data);
    cursor = body.next_cursor;
  }
  const text = async (path: string) => Buffer.from(await (await fetch(new URL(path, house.broker().url))).text());
  const metrics = await text(`/metrics?key=${house.adminKey}`);
  const description = await text('/openapi.json');
  const running = databaseOf(house.folder);
  await house.broker().stop();
  places = {
    'the database': running,
    'the database after the stop': databaseOf(house.folder),
    'stdout and stderr': Buffer.from(house.broker().output()),
    'the metrics': metrics,
    'the audit log': Buffer.from(JSON.stringify(pages)),
    'the description of the interface': description,
    refusals: recorder.refusals(),
    'other answers': recorder.answers(),
  };
  for (const key of boundKeys(join(house.folder, 'valetkey.db'))) plantKey(secrets, 'DPoP key', key);
  await echo.close();
  rmSync(providers, { recursive: true });
  rmSync(declared);
}, 90_000);
afterAll(() => Promise.all([house?.close(), idp?.close()]));

describe('no secret is found in', () => {
  it.each(PLACES)('%s', (place) => {
    expect(secrets.foundIn(places[place])).toEqual([]);
  });
});

describe('the search would find one', () => {
  it('since what is planted is found in the places where it belongs, and in no other', () => {
    const belongs: Record<string, Place[]> = {
      [OWNER]: ['the database', 'the database after the stop', 'the audit log', 'other answers'],
      [CAPTURED]: ['the database', 'the database after the stop', 'other answers'],
      valetkey_http_requests_total: ['the metrics', 'the description of the interface'],
      '"event":"listening"': ['stdout and stderr'],
      ConnectSessionCreated: ['the description of the interface'],
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
    const value = `1//0${random()}+/="%`;
    const planted = createSecrets();
    planted.add('canary', value);
    expect(planted.foundIn(Buffer.from(`some words ${encode(value)} and more`))).not.toEqual([]);
    expect(planted.foundIn(Buffer.from(`some words ${encode(random())} and more`))).toEqual([]);
  });
});

describe('the job was done', () => {
  it('with secrets of every kind', () => {
    const counts = secrets.counts();
    console.info('secrets searched for:', JSON.stringify(counts));
    const kinds = ['access token', 'authorization code', 'caller key', 'client secret', 'connect link', 'cookie'];
    const imported = ['AWS key', 'customer secret', 'imported token', 'key file', 'password', 'session token'];
    const made = ['client assertion', 'DPoP key', 'DPoP proof', 'issued token', 'signed assertion', 'swapped token'];
    const keys = ['imported key', 'integration key', 'line of a service account key', 'misplaced key in one line'];
    const flow = ['ID token', 'nonce', 'PKCE verifier', 'refresh token', 'state', 'user token', 'workload token'];
    expect(Object.keys(counts)).toEqual(expect.arrayContaining([...kinds, ...flow, ...imported, ...made, ...keys]));
  });

  it('and a provider that was down owes its revocations', () => {
    expect(revoked.single).toMatchObject({ status: 'revoked', upstream_revocation: 'pending' });
    expect(revoked.bulk).toMatchObject({ revoked: 2, upstream_revocation: { pending: 2 } });
  });

  it('and the database holds the secrets, sealed', () => {
    const sealed = places['the database after the stop'].toString('latin1').match(/v1\.k0\.[\w-]{16}\.[\w-]{30,}/g);
    expect(sealed?.length).toBeGreaterThan(20);
  });
});
