// What webhooks find a connection by is proved by its credentials, or stated by the app (decision 64).
import { expect, test } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { modeName } from '../../src/domain/auth-modes.ts';
import { isValid } from '../../src/domain/fields.ts';
import { apiOf, connectionFields, unprovenFields, whoamisOf } from '../../src/domain/provider.ts';
import { providersOf } from '../support/entries.ts';

const providers = [...providersOf(loadCatalogue([])).values()];

test('params by which webhooks find a connection are unproven, or part of what its credentials must work at', () => {
  const found = providers.flatMap((provider) => {
    const text = JSON.stringify(provider.webhooks);
    const names = new Set([...text.matchAll(/"match":"params\.([a-z0-9_]+)"/g)].map(([, name]) => name!));
    return provider.auth.flatMap((auth) => {
      const unproven = unprovenFields(provider, auth);
      const asked = Object.keys(connectionFields(provider, auth)).filter((name) => !Object.hasOwn(unproven, name));
      const { connection_params: _, ...requests } = auth;
      const places = JSON.stringify([requests, apiOf(provider, auth).base, whoamisOf(provider, auth, null)]);
      return asked
        .filter((name) => names.has(name) && !places.includes(`{${name}}`))
        .map((name) => `${provider.id} ${modeName(auth)}: ${name}`);
    });
  });
  expect(found).toEqual([]);
});

test("a mode whose secrets are the integration's asks owners for nothing", () => {
  const minted = providers.flatMap((provider) =>
    provider.auth.flatMap((auth) => {
      const unproven = Object.keys(unprovenFields(provider, auth));
      const all = Object.keys(connectionFields(provider, auth));
      return unproven.length > 0 && unproven.length === all.length ? [`${provider.id} ${modeName(auth)}`] : [];
    }),
  );
  for (const mode of [
    'github app_installation',
    'aws aws_sts_assume_role',
    'microsoft-entra oauth2_client_credentials',
  ])
    expect(minted).toContain(mode);
  for (const mode of ['box jwt_bearer', 'docusign jwt_bearer', 'salesforce jwt_bearer']) expect(minted).toContain(mode);
});

test('no host that an owner names says whose webhooks a connection gets', () => {
  const found = providers.flatMap((provider) => {
    const text = JSON.stringify(provider.webhooks);
    if (!/"match":"(?:account|captured)\./.test(text)) return [];
    return provider.auth.flatMap((auth) => {
      const unproven = unprovenFields(provider, auth);
      return Object.entries(connectionFields(provider, auth))
        .filter(([name, field]) => !Object.hasOwn(unproven, name) && !field.options && isValid(field, 'evil.example'))
        .filter(([name]) => JSON.stringify([auth, apiOf(provider, auth).base]).includes(`https://{${name}}`))
        .map(([name]) => `${provider.id} ${modeName(auth)}: ${name}`);
    });
  });
  expect(found).toEqual([]);
});
