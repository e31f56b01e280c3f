// Grant sources of an MCP integration: what is asked of the resource how often, and with which client the broker comes.
import { beforeEach, expect, it } from 'vitest';
import { redirectUris } from '../../../src/broker/resources/clients/redirect-uris.ts';
import { createGrantSources } from '../../../src/broker/resources/grant-sources.ts';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { authMode } from '../../../src/domain/provider.ts';
import { NO_SECRETS, resolveTarget } from '../../../src/domain/target.ts';
import type { FoundResource, ProviderResult } from '../../../src/ports/index.ts';
import { anIntegration } from '../../stores/builders.ts';
import { providersOf } from '../../support/entries.ts';

const provider = providersOf(loadCatalogue([])).get('mcp')!;
const SERVER = 'https://mcp.example/mcp';
const server = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
};
const answer: ProviderResult<FoundResource> = { ok: true, value: { resource: SERVER, server, scopes: [] } };

let now: number;
beforeEach(() => {
  now = 1_800_000_000_000;
});

function sourcesOf(more: Parameters<typeof anIntegration>[0] = {}) {
  const params = { server_url: SERVER, ...more?.params };
  const integration = { ...anIntegration({ provider: 'mcp', overrides: {}, ...more, params }), version: 1 };
  const auth = authMode(provider, params)!;
  const sources = createGrantSources({
    discovery: {
      discover: async () => answer,
    },
    registrations: { clientFor: () => Promise.reject(new Error('nothing is registered here')) },
    clientAssertions: { algorithm: () => Promise.reject(new Error('nothing is signed here')) },
    uris: redirectUris('https://broker.example'),
    clock: { now: () => now },
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
