// The commands for webhook endpoints, deliveries and signing keys.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';
import { startWebhookReceiver, status, type WebhookReceiver } from '../support/webhook-receiver.ts';

const folder = mkdtempSync(join(tmpdir(), 'valetkey-cli-'));
const env = {
  VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}`,
  VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
};
let broker: TestBroker;
let receiver: WebhookReceiver;
let valetkey: Valetkey;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  broker = await startTestBroker(env, undefined, { deliverEveryMs: 20, signingKeysEveryMs: 50 });
  valetkey = createTerminal({ VALETKEY_URL: broker.url, VALETKEY_KEY: broker.adminKey });
});
afterAll(async () => {
  await broker.stop();
  await receiver.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await valetkey(args);
  expect({ code, err }, args.join(' ')).toEqual({ code: 0, err: '' });
  return out;
}
/** The first delivery loads the outbound client. */
const PATIENT = { timeout: 30_000, interval: 50 };
const lines = (text: string) => text.trimEnd().split('\n');

test('webhook-endpoints and deliveries: the whole life of one, on the command line', async () => {
  const headers = join(folder, 'headers');
  writeFileSync(headers, 'X-Api-Key: let-me-in\n\nX-Colon: a: b\n');
  const more = ['--type', 'connection.revoked', '--owner', 'user_*', '--headers-file', headers, '--ordered'];
  const [id = '', secret] = lines(await ok('webhook-endpoints', 'create', `${receiver.url}/hook`, ...more));
  expect(id).toMatch(/^whe_/);
  expect(secret).toMatch(/^whsec_/);
  const shown = await ok('webhook-endpoints', 'show', id);
  expect(shown).toContain('owners\tuser_*\n');
  expect(shown).toContain('ordered\ttrue\n');
  expect(shown + (await ok('webhook-endpoints', 'list'))).not.toMatch(/let-me-in|whsec_/);
  expect(lines(await ok('webhook-endpoints', 'rotate-secret', id))[0]).toMatch(/^whsec_/);

  const event = lines(await ok('webhook-endpoints', 'test', id))[0];
  await vi.waitFor(() => expect(receiver.at('/hook').map((one) => one.id)).toEqual([event]), PATIENT);
  expect(receiver.at('/hook')[0]?.headers).toMatchObject({ 'x-api-key': 'let-me-in', 'x-colon': 'a: b' });
  const row = await vi.waitFor(async () => {
    const [first = ''] = lines(await ok('deliveries', 'list', '--endpoint', id));
    expect(first).toContain(`${event}\t${id}\tdelivered\t1`);
    return first;
  }, PATIENT);
  const [delivery = ''] = row.split('\t');
  expect(await ok('deliveries', 'show', delivery)).toContain('last_status\t204\n');
  receiver.answer('/hook', status(410));
  expect(await ok('deliveries', 'retry', delivery)).toContain(`id\t${delivery}\n`);
  await vi.waitFor(
    async () => expect(await ok('webhook-endpoints', 'show', id)).toContain('disabled_reason\tgone\n'),
    PATIENT,
  );

  receiver.answer('/hook', status(204));
  expect(await ok('webhook-endpoints', 'update', id, '--enable', '--no-ordered')).toContain('enabled\ttrue\n');
  expect(await ok('webhook-endpoints', 'replay', id, '--from', '1h', '--status', 'failing')).toBe('1\n');
  await vi.waitFor(() => expect(receiver.at('/hook').length).toBeGreaterThanOrEqual(3), PATIENT);
  expect(new Set(receiver.at('/hook').map((one) => one.id))).toEqual(new Set([event]));
  expect(await ok('webhook-endpoints', 'delete', id)).toBe('deleted\n');
  expect(await ok('deliveries', 'list')).toBe('');
});

test('webhook-endpoints: what cannot be is said, without repeating a header', async () => {
  const headers = join(folder, 'bad-headers');
  writeFileSync(headers, 'the secret value\n');
  const failed = await valetkey(['webhook-endpoints', 'create', 'https://a.example', '--headers-file', headers]);
  expect(failed.code).toBe(64);
  expect(failed.err).toContain('line 1');
  expect(failed.err).not.toContain('the secret value');
  expect((await valetkey(['webhook-endpoints', 'update', 'whe_x'])).code).toBe(64);
  expect((await valetkey(['webhook-endpoints', 'update', 'whe_x', '--enable', '--disable'])).code).toBe(64);
  expect((await valetkey(['webhook-endpoints', 'create', 'http://a.example'])).err).toContain('url: ');
});

describe('signing-keys:', () => {
  /** On the machine of the database and the keys: it reads the environment of the process. */
  beforeEach(() => {
    const settings = { ...env, VALETKEY_ADMIN_KEY: broker.adminKey, VALETKEY_LOG_LEVEL: 'silent' };
    for (const [name, value] of Object.entries(settings)) vi.stubEnv(name, value);
  });
  afterEach(() => vi.unstubAllEnvs());
  const kids = async (path: string) => {
    const { keys } = (await (await fetch(new URL(path, broker.url))).json()) as { keys: Json[] };
    return keys.map(({ kid }) => String(kid));
  };
  const listed = async () =>
    lines(await ok('signing-keys', 'list'))
      .filter((line) => line !== '')
      .map((line) => line.split('\t'));
  const states = async () => (await listed()).map(([id, , state]) => [id, state]);

  test('rotate makes a key of deliveries and one of JWTs; the ones before stay published', async () => {
    const [before] = await kids('/.well-known/webhook-keys');
    // The first key signs at once: no one has seen another one.
    const [first] = lines(await ok('signing-keys', 'rotate', '--only', 'jwt'));
    expect((await listed()).map((row) => row.slice(0, 4))).toEqual([[first, 'ES256', 'signing', 'true']]);
    expect(await kids('/.well-known/webhook-keys')).toEqual([before]);
    const [webhook, jwt] = lines(await ok('signing-keys', 'rotate'));
    expect(await kids('/.well-known/webhook-keys')).toEqual([webhook, before]);
    expect(await states()).toEqual([
      [jwt, 'published'],
      [first, 'signing'],
    ]);
    await vi.waitFor(async () => expect((await kids('/oauth2/jwks')).sort()).toEqual([first, jwt].sort()), PATIENT);

    const [only, ...none] = lines(await ok('signing-keys', 'rotate', '--only', 'webhook'));
    expect(none).toEqual([]);
    expect((await kids('/.well-known/webhook-keys'))[0]).toBe(only);
    expect((await listed()).length).toBe(2);
  });

  test('rotate --withdraw deletes a key of JWTs at once, and another one signs', async () => {
    const leaked = (await states()).find(([, state]) => state === 'signing')?.[0] ?? '';
    const said = await ok('signing-keys', 'rotate', '--withdraw', leaked);
    const [signing, ...others] = (await states()).filter(([, state]) => state === 'signing');
    expect(said).toBe(`${signing?.[0]} signs now\n`);
    expect(others).toEqual([]);
    expect((await states()).map(([id]) => id)).not.toContain(leaked);
    await vi.waitFor(async () => expect(await kids('/oauth2/jwks')).not.toContain(leaked), PATIENT);
  });

  test('what cannot be is refused, and changes nothing', async () => {
    const before = await listed();
    const unknown = await valetkey(['signing-keys', 'rotate', '--withdraw', 'jwk_unknown']);
    expect(unknown.code).toBe(1);
    expect(unknown.err).toContain('there is no signing key jwk_unknown');
    const id = before[0]?.[0] ?? '';
    const both = await valetkey(['signing-keys', 'rotate', '--withdraw', id, '--only', 'jwt']);
    expect(both.code).toBe(64);
    expect(await listed()).toEqual(before);
  });
});
