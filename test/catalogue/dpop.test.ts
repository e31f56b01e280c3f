// DPoP in catalogue entries: what is valid, and how it is explained.
import { expect, test } from 'vitest';
import { entryIssues } from '../../src/catalogue/check.ts';
import { explain } from '../../src/catalogue/explain.ts';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { Provider } from '../../src/domain/provider-schema.ts';

const CHOICE = { title: 'DPoP', options: { on: 'true', off: 'false' }, default: 'off' };

const entry = (auth: object, dpop: object = CHOICE) =>
  Provider.parse({
    id: 'acme',
    name: 'Acme',
    category: 'generic',
    docs_url: 'https://acme.example/docs',
    confidence: 'unverified',
    params: { dpop },
    auth: [
      {
        mode: 'oauth2_code',
        authorization_url: 'https://acme.example/a',
        token_url: 'https://acme.example/t',
        ...auth,
      },
    ],
  });
const found = (...given: Parameters<typeof entry>) => entryIssues(entry(...given), 'acme');

test('dpop: on, off, or chosen by the integration', () => {
  for (const dpop of ['true', 'false', '{dpop}']) expect(found({ dpop })).toEqual([]);
  expect(found({ dpop: '{other}' })).toEqual(['auth[0].dpop: {other} is not among its params']);
  expect(() => entry({ dpop: 'yes' })).toThrow('true, false, or a {parameter}');
});

test('dpop: an issue when the parameter can never switch it on, or has other options', () => {
  const fault = ['auth[0].dpop: {dpop} must have options that stand for true and false'];
  expect(found({ dpop: '{dpop}' }, { ...CHOICE, options: { on: 'yes', off: 'no' } })).toEqual(fault);
  expect(found({ dpop: '{dpop}' }, { title: 'DPoP', pattern: '.*' })).toEqual(fault);
});

test.each([
  ['send', { send: { prefix: 'Bearer ' } }],
  ['token_request.method', { token_request: { method: 'GET' } }],
  ['refresh.method', { refresh: { method: 'GET' } }],
  ['refresh.url', { refresh: { url: 'https://acme.example/r' } }],
  ['token_exchange', { token_exchange: { url: 'https://acme.example/x', params: {} } }],
])('dpop: not allowed with %s, a request without a proof', (what, auth) => {
  expect(found({ ...auth, dpop: 'false' })).toEqual([]);
  expect(found({ ...auth, dpop: '{dpop}' })).toEqual([expect.stringContaining(`auth[0].${what}: `)]);
});

test('dpop: with lookups only where a param chooses, since they are left out then', () => {
  const auth = { lookups: [{ url: 'https://acme.example/me', capture: { team: 'id' } }] };
  expect(found({ ...auth, dpop: '{dpop}' })).toEqual([]);
  expect(found({ ...auth, dpop: 'true' })).toEqual([expect.stringContaining('auth[0].lookups: ')]);
});

test('dpop: explained for entries that have it', () => {
  const dpopLines = (auth: object) => explain(entry(auth)).filter((line) => line.includes('(DPoP)'));
  expect(dpopLines({})).toEqual([]);
  expect(dpopLines({ dpop: 'true' })).toEqual([expect.stringMatching(/^ {2}It is bound to a key .*dpop-proof\.$/)]);
  expect(dpopLines({ dpop: '{dpop}' })).toEqual([expect.stringContaining('If params.dpop says so, it is bound')]);
});

test.each(['generic-oidc', 'okta'])('dpop: %s lets the integration choose', (id) => {
  const catalogue = loadCatalogue([]);
  const { auth = [] } = (catalogue.ok && catalogue.providers.get(id)) || {};
  expect(auth.flatMap((mode) => ('dpop' in mode ? [mode.dpop] : []))).toEqual(
    Array(id === 'okta' ? 4 : 2).fill('{dpop}'),
  );
});
