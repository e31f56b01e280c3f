// A renewal with another account than the one that is connected: the provider is told which one, and the owner may try again.
import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar, walkThrough } from '../../../demo/browser.ts';
import { type LocalProvider, startProvider } from '../../../demo/provider.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { startChoosingProvider } from '../../support/choosing-provider.ts';
import {
  connect,
  connectionOf,
  createConnectSession,
  expectErrorPage,
  formOf,
  newOwner,
  openLink,
  putIntegrationAt,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';

let broker: TestBroker;
let provider: LocalProvider;
/** Has a page where people choose an account. */
let choosing: LocalProvider;

beforeAll(async () => {
  [broker, provider, choosing] = await Promise.all([startTestBroker(), startProvider(), startChoosingProvider()]);
  const more = { scopes: ['openid', 'email', 'offline_access'], return_origins: ['https://app.example'] };
  await putIntegrationAt(broker, 'acme', provider, more);
  await putIntegrationAt(broker, 'choosing', choosing, more);
});
afterAll(() => Promise.all([broker.stop(), provider.close(), choosing.close()]));

const asked = (location: string | null) => new URL(location ?? '').searchParams;

type Mismatched = Awaited<ReturnType<typeof mismatched>> & { deleteCaller: () => Promise<void> };

async function mismatched(integration: string, wanted: Record<string, unknown> = {}, key?: string) {
  const owner = newOwner();
  const first = await createConnectSession(broker, { integration, owner });
  await connect(broker, first.url, { login: 'ada' });
  const { id } = await connectionOf(broker, first);
  const renewal = { integration, owner, connection_id: id, ...wanted };
  const { body } = await broker.ask('POST', '/v1/connect-sessions', renewal, key);
  const again = { id: String(body.id), url: String(body.url) };
  const jar = createCookieJar();
  const page = await connect(broker, again.url, { jar, login: 'mallory' });
  return { id, owner, again, jar, page, renewal, retryUrl: `${broker.url}/connect/sessions/${again.id}` };
}

describe('a renewal', () => {
  test('tells the provider which account is wanted', async () => {
    const owner = newOwner();
    const first = await createConnectSession(broker, { owner });
    await connect(broker, first.url, { login: 'ada' });
    const again = await createConnectSession(broker, { owner });
    const { location } = await openLink(again.url);
    expect(asked(location).get('login_hint')).toBe('ada');
    expect(asked(location).get('prompt')).not.toMatch(/select_account|login/);
  });

  test('with another account names the one that is wanted, and offers another try', async () => {
    const { id, again, jar, page, retryUrl } = await mismatched('choosing');
    expect(page.status).toBe(409);
    expect(page.text).toContain('The account that is connected is <bdi>ada</bdi>.');
    expect(await sessionOf(broker, again)).toMatchObject({ status: 'failed', error: 'identity_mismatch' });

    const retried = await visit(retryUrl, jar, { form: formOf(page) });
    expect(retried.status).toBe(303);
    expect(asked(retried.location).get('prompt')?.split(' ')).toContain('select_account');
    const end = await walkThrough(retried.location ?? '', { jar, login: 'ada' });
    expect(end.text).toContain('is connected');
    expect(await connectionOf(broker, again)).toMatchObject({ id, generation: 2 });
  });

  test('at a provider that has no choice of accounts asks for a sign-in instead', async () => {
    const { id, again, jar, page, retryUrl } = await mismatched('acme');
    const retried = await visit(retryUrl, jar, { form: formOf(page) });
    const end = await walkThrough(retried.location ?? '', { jar, login: 'ada' });
    expect(end.redirects.some((url) => asked(url).get('prompt')?.split(' ').includes('login'))).toBe(true);
    expect(end.text).toContain('is connected');
    expect(await connectionOf(broker, again)).toMatchObject({ id, generation: 2 });
  });

  test('after a mismatch, also with a new link: the owner chooses an account', async () => {
    const { renewal, page } = await mismatched('acme', { return_url: 'https://app.example/' });
    expect(page.location).toContain('error=identity_mismatch');
    const { location } = await openLink((await createConnectSession(broker, renewal)).url);
    expect(asked(location).get('prompt')?.split(' ')).toContain('select_account');
  });
});

describe('another try', () => {
  test('needs the token of the page, and the browser', async () => {
    const { again, jar, page, retryUrl } = await mismatched('choosing');
    const form = formOf(page);
    const [stranger, forged] = [createCookieJar(), { 'form-token': 'a'.repeat(64) }];
    expect((await visit(retryUrl, stranger, { form })).status).toBe(410);
    for (const other of [forged, {}])
      expect((await visit(retryUrl, jar, { form: other })).status).toBeGreaterThanOrEqual(400);
    expect(await sessionOf(broker, again)).toMatchObject({ status: 'failed' });
    const clicks = await Promise.all([1, 2].map(() => visit(retryUrl, jar, { form })));
    expect(clicks.map(({ status }) => status)).toEqual([303, 303]);
  });

  test.each([
    [
      'its session is cancelled',
      async ({ again }: Mismatched) => void (await broker.ask('DELETE', `/v1/connect-sessions/${again.id}`)),
    ],
    [
      'what its owner has is revoked in bulk',
      async ({ owner }: Mismatched) => void (await broker.ask('POST', '/v1/connections/revoke', { owner })),
    ],
    ['the caller of its link is deleted', async ({ deleteCaller }: Mismatched) => deleteCaller()],
  ])('is not possible any more once %s', async (_, end) => {
    const { body: caller } = await broker.ask('POST', '/v1/callers', {
      name: 'app',
      grants: [{ actions: ['connections:write'], integrations: ['*'], owners: ['*'] }],
    });
    const deleteCaller = async () => void (await broker.ask('DELETE', `/v1/callers/${caller.id}`));
    const renewal = await mismatched('choosing', {}, String(caller.key));
    const { again, jar, page, retryUrl } = renewal;
    await end({ ...renewal, deleteCaller });
    for (const form of [formOf(page), undefined])
      expectErrorPage(await visit(retryUrl, jar, form && { form }), 410, 'invitation_cancelled', retryUrl);
    expect(await sessionOf(broker, again)).toMatchObject({ status: 'cancelled' });
  });

  test('is not possible where the app was told at its return_url', async () => {
    const { again, jar, page, retryUrl } = await mismatched('acme', { return_url: 'https://app.example/' });
    const secret = jar.header(new URL(retryUrl))!.split('=').at(-1);
    // The token that the page would have: owners can read their own cookies.
    const form = { 'form-token': hash('sha256', `retry ${again.id} ${secret}`) };
    expect((await visit(retryUrl, jar, { form })).location).toBe(page.location);
    expect(await sessionOf(broker, again)).toMatchObject({ status: 'failed', error: 'identity_mismatch' });
  });

  test('is not offered after a refusal that it cannot change', async () => {
    const invited = await createConnectSession(broker);
    const jar = createCookieJar();
    const page = await connect(broker, invited.url, { jar, cancel: true });
    expect(page.text).not.toContain('<form');
    const form = { 'form-token': 'a'.repeat(64) };
    expect((await visit(`${broker.url}/connect/sessions/${invited.id}`, jar, { form })).status).toBe(403);
    expect(await sessionOf(broker, invited)).toMatchObject({ status: 'failed', error: 'access_denied' });
  });
});
