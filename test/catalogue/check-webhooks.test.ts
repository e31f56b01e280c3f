// Issues of an entry's webhooks, by field; and how they are explained.
import { describe, expect, test } from 'vitest';
import { explainWebhooks } from '../../src/catalogue/explain-webhooks.ts';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { codeMode, createFolder, entry, issuesOf, providersOf } from '../support/entries.ts';

const key = { what: 'signing secret', where: 'Settings' };
const hmac = { scheme: 'hmac', signature: { in: 'header:x-sig' }, signed: '{body}', key };
const load = (endpoint: object) =>
  loadCatalogue([
    createFolder({
      'acme.json': entry('acme', {
        connection_params: { shop: { title: 'shop', pattern: '[a-z]+' } },
        auth: [codeMode({ token_answer: { capture: { team: 'team.id' } } })],
        webhooks: { events: { title: 'Events', verify: hmac, setup: { url: 'Settings, Webhooks' }, ...endpoint } },
      }),
    }),
  ]);
const signs = (pattern: string) => ({
  when: { method: 'GET', 'query:c': { matches: pattern } },
  answer: { json: { token: '{query:c|hmac:sha256:hex}' } },
});

test('webhooks of an entry: valid', () => {
  const catalogue = load({
    connection: [
      { match: 'captured.team', value: '{item:team}' },
      { match: 'params.shop', value: '{header:x-shop|without:.example}' },
      { match: 'account.id', value: '{item:users[].id}' },
    ],
    handshake: [signs('[a-z0-9]+')],
  });
  expect(providersOf(catalogue).get('acme')!.webhooks.events).toMatchObject({ methods: ['POST'], max_body: 1_048_576 });
});

describe('webhooks of an entry: an issue', () => {
  test.each<[string, object, RegExp]>([
    ['a source that there is not', { verify: { ...hmac, signed: '{bodi}' } }, /verify\.signed.*no source "bodi"/],
    ['a filter that there is not', { verify: { ...hmac, signed: '{body|md5}' } }, /no filter "md5"/],
    ['a header without a name', { verify: { ...hmac, signed: '{header}' } }, /"header" needs a name/],
    ['a scheme that there is not', { verify: { scheme: 'magic' } }, /verify/],
    ['no key', { verify: { ...hmac, key: undefined } }, /verify\.key/],
    [
      'a value that nothing captures',
      { connection: [{ match: 'captured.tem', value: '{item}' }] },
      /nothing has captured\.tem/,
    ],
    [
      'a param that no connection has',
      { connection: [{ match: 'params.team', value: '{item}' }] },
      /nothing has params\.team/,
    ],
    ['a value of another kind', { connection: [{ match: 'identity.sub', value: '{item}' }] }, /connection/],
    ['a choice by the body', { when: { 'item:type': 'x' } }, /when: item:type is in the body/],
    [
      'events that are verified one by one, and no batch',
      { verify: { ...hmac, each: true } },
      /there is no event\.batch/,
    ],
    [
      'a JWT that nothing verifies',
      { verify: { scheme: 'jwt', algorithms: ['RS256'], token: { in: 'header:a' } } },
      /needs a key or jwks/,
    ],
    ['a signed challenge that may be anything', { handshake: [signs('.*')] }, /must have a pattern/],
    ['a signed challenge that may be a list', { handshake: [signs('[\\[\\]0-9,]{1,99}')] }, /must have a pattern/],
    ['a signed challenge that may be a form', { handshake: [signs('[a-z0-9=]{1,99}')] }, /must have a pattern/],
    [
      'a signed challenge without a pattern',
      { handshake: [{ ...signs('x'), when: { method: 'GET' } }] },
      /must have a pattern/,
    ],
    ['a pattern that is none', { handshake: [{ when: { 'query:c': { matches: '(' } } }] }, /handshake/],
    ['a field that there is not', { verfy: {} }, /verfy/],
    ['a body that is larger than any sender needs', { max_body: 100_000_000 }, /max_body/],
  ])('%s', (_, endpoint, issue) => {
    expect(issuesOf(load(endpoint)).join('\n')).toMatch(issue);
  });
});

test('webhooks of an entry: explained', () => {
  const provider = providersOf(
    load({
      setup: { url: 'Settings, Webhooks', events: ['app.removed'], notes: ['Needs an admin.'] },
      names_account: false,
    }),
  ).get('acme')!;
  expect(explainWebhooks(provider)).toEqual([
    '',
    'Webhooks: Events',
    '  URL: {public URL}/webhooks/{integration}',
    '  Where: Settings, Webhooks',
    '  Events: app.removed',
    '  Secret: signing secret (Settings)',
    '  Verified by an HMAC.',
    '  Nothing in it says which connection is meant.',
    '  - Needs an admin.',
  ]);
});
