// The issuers whose JWTs are trusted.
import { expect, it } from 'vitest';
import { createTrustedIssuers } from '../../../src/broker/integrations/trusted-issuers.ts';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, anIntegration } from '../../stores/builders.ts';
import { providersOf } from '../../support/entries.ts';

it('the broker itself is none, whether the configuration lists it or an integration names it', async () => {
  const publicUrl = 'https://broker.example';
  const store = await openSqlite('file::memory:');
  const openid = { provider: 'generic-oidc', clientId: 'app', overrides: {} };
  for (const [id, issuer] of [
    ['own', publicUrl],
    ['other', 'https://id.example'],
  ] as const)
    await store.putIntegration(anIntegration({ ...openid, id, params: { issuer } }), anEntry());
  const issuers = createTrustedIssuers({
    store,
    catalogue: providersOf(loadCatalogue([])),
    listed: [{ issuer: publicUrl, audiences: ['https://api.example'], owner: { claim: 'sub', prefix: '' } }],
    publicUrl,
  });
  expect(await issuers.find(publicUrl)).toBeUndefined();
  expect(await issuers.find('https://id.example')).toMatchObject({ clientIds: ['app'], isListed: false });
});
