// Grant sources of an MCP integration: what is asked of the resource how often, and with which client the broker comes.
import { beforeEach, expect, it } from 'vitest';
import { redirectUris } from '../../../src/broker/resources/clients/redirect-uris.ts';
import { createGrantSources } from '../../../src/broker/resources/grant-sources.ts';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { authMode } from '../../../src/domain/provider.ts';
import { NO_SECRETS, resolveTarget } from '../../../src/domain/target.ts';
import type { FoundResource, ProviderResult, ResourceChallenge } from '../../../src/ports/index.ts';
import { anIntegration } from '../../stores/builders.ts';
import { providersOf } from '../../support/entries.ts';

const provider = providersOf(loadCatalogue([])).get('mcp')!;
const SERVER = 'https://mcp.example/mcp';
const server = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
};
const FAULT = { code: 'down', detail: 'down', retryAfter: undefined, outcomeUnknown: false };
const answer: ProviderResult<FoundResource> = { ok: true, value: { resource: SERVER, server, scopes: [] } };

let now: number;
let discover: (challenge: ResourceChallenge | undefined) => Promise<ProviderResult<FoundResource>>;
beforeEach(() => {
  now = 1_800_000_000_000;
  discover = async () => answer;
});

function sourcesOf(more: Parameters<typeof anIntegration>[0] = {}, publicUrl = 'https://broker.example') {
  const params = { server_url: SERVER, ...more?.params };
  const integration = { ...anIntegration({ provider: 'mcp', overrides: {}, ...more, params }), version: 1 };
  const auth = authMode(provider, params)!;
  const sources = createGrantSources({
    discovery: {
      discover: (_, challenge) => discover(challenge),
    },
    registrations: { clientFor: () => Promise.reject(new Error('nothing is registered here')) },
    clientAssertions: { algorithm: () => Promise.reject(new Error('nothing is signed here')) },
    uris: redirectUris(publicUrl),
    clock: { now: () => now, monotonic: () => now },
  });
  return {
    sources,
    found: { integration, provider, auth },
    target: resolveTarget(provider, integration, NO_SECRETS, {}),
  };
}

it('a client secret without its issuer, of an integration from before it was required, begins nothing', async () => {
  const { sources, found, target } = sourcesOf();
  expect(await sources.find(found, target, { owner: 'ada' })).toMatchObject({
    ok: false,
    fault: {
      kind: 'misconfigured',
      code: 'issuer_required',
      detail: expect.stringMatching(/params\.issuer.*https:\/\/as\.example/),
    },
  });
  for (const more of [{ clientSecret: null }, { params: { issuer: server.issuer } }]) {
    const other = sourcesOf(more);
    const source = await other.sources.find(other.found, other.target, { owner: 'ada' });
    expect(source).toMatchObject({ ok: true, value: { source: { client: { kind: 'integration' } } } });
  }
});

it('where no client can be had, the fault names why: what the server takes, or that the broker is not at https', async () => {
  const none = { clientId: '', clientSecret: null };
  const answered = (more: object) => {
    discover = async () => ({ ok: true, value: { resource: SERVER, server: { ...server, ...more }, scopes: [] } });
  };
  const find = async (publicUrl: string, given: Parameters<typeof sourcesOf>[0] = {}) => {
    const { sources, found, target } = sourcesOf({ ...none, ...given }, publicUrl);
    return sources.find(found, target, { owner: 'ada' });
  };
  const http = 'http://broker.example';
  const byHand = `${http}/oauth2/callback/slack`;
  const fault = (code: string, ...words: string[]) => ({
    ok: false,
    fault: { kind: 'misconfigured', code, detail: expect.stringMatching(words.join('.*')) },
  });
  answered({});
  expect(await find(http)).toMatchObject(fault('client_not_registered', 'takes neither', byHand));
  answered({ client_id_metadata_document_supported: true });
  const document = `at an https URL, .* ${http}/oauth2/clients/slack.json`;
  expect(await find(http)).toMatchObject(fault('public_url_not_https', document, 'VALETKEY_PUBLIC_URL', byHand));
  expect(await find('https://broker.example')).toMatchObject({ ok: true });
  const elsewhere = { params: { client_metadata_url: 'https://clients.example/doc.json' } };
  expect(await find(http, elsewhere)).toMatchObject({ ok: true });
});

it('challenges have the metadata read once for all that come together, and a few times a minute in all', async () => {
  const { sources, found, target } = sourcesOf({ clientSecret: null });
  let [asked, answered] = [0, () => {}];
  discover = async (challenge) => {
    asked++;
    if (challenge) await new Promise<void>((resolve) => (answered = resolve));
    return answer;
  };
  const challengeOf = (n: number) => ({
    status: 401,
    wwwAuthenticate: `Bearer scope="s${n}", resource_metadata="https://mcp.example/prm"`,
  });
  const read = (challenge: ResourceChallenge) => sources.challengedIssuer(found, target, challenge);
  const all = Array.from({ length: 100 }, (_, n) => read(challengeOf(n)));
  now += 60_000;
  all.push(read(challengeOf(1)));
  answered();
  const issuers = (await Promise.all(all)).map((one) => one.ok && one.value.issuer);
  expect(new Set(issuers)).toEqual(new Set([server.issuer]));
  now += 4_999;
  await read(challengeOf(1));
  expect(asked).toBe(1);
  // What was known of it is out of date for new connections too, once.
  const connect = async () => (await sources.find(found, target, { owner: 'ada' })).ok;
  expect([await connect(), await connect(), asked]).toEqual([true, true, 2]);
  now += 1;
  discover = async () => {
    asked++;
    return { ok: false, fault: { ...FAULT, kind: 'transient' } };
  };
  for (let n = 0; n < 40; n++)
    await read({ status: 401, wwwAuthenticate: `Bearer resource_metadata="https://mcp.example/${n}"` });
  expect(asked).toBe(2 + 20);
  expect(await read(challengeOf(1))).toMatchObject({ fault: { kind: 'transient', code: 'too_many_challenges' } });
  now += 60_000;
  expect(await read(challengeOf(1))).toMatchObject({ fault: { code: 'down' } });
});

it('an owner has sixty servers asked within an hour, and others go on', async () => {
  const { sources, found, target } = sourcesOf({ clientSecret: null });
  let asked = 0;
  discover = async () => {
    asked++;
    return answer;
  };
  const find = (n: number, owner: string) =>
    sources.find(found, { ...target, resource: `https://mcp.example/${n}` }, { owner });
  for (let n = 0; n < 70; n++) await find(n, 'mallory');
  expect(asked).toBe(60);
  expect(await find(69, 'mallory')).toMatchObject({ fault: { kind: 'transient', code: 'too_many_discoveries' } });
  // What is known needs no question.
  expect([(await find(59, 'mallory')).ok, (await find(69, 'alice')).ok]).toEqual([true, true]);
  now += 3_600_000;
  expect((await find(70, 'mallory')).ok).toBe(true);
});
