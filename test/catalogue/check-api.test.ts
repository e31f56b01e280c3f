// Issues of what an entry says of its API and limits, by field; and how they are explained.
import { describe, expect, test } from 'vitest';
import { explainApi } from '../../src/catalogue/explain-api.ts';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { codeMode, createFolder, entry, issuesOf, providersOf } from '../support/entries.ts';

const load = (given: { api?: object; rate_limits?: object }) =>
  loadCatalogue([
    createFolder({
      'acme.json': entry('acme', {
        params: { region: { title: 'region', pattern: '[a-z]+' } },
        connection_params: { shop: { title: 'shop', pattern: '[a-z]+' } },
        auth: [
          codeMode({ token_answer: { capture: { team: 'team.id' } } }),
          { mode: 'api_key', api_base_url: 'https://keys.acme.test' },
        ],
        api_base_url: 'https://{shop}.acme.test',
        ...given,
      }),
    }),
  ]);
const whoami = (more: object) => ({ api: { whoami: [more] } });

test('API of an entry: valid', () => {
  const catalogue = load({
    api: {
      other_hosts: { files: 'https://files.{region}.acme.test' },
      whoami: [
        { path: '/teams/{team}?fields=id', only: ['oauth2_code'], subject: 'sub', identity: { team: 'id' } },
        { method: 'POST', host: 'files', form: { shop: '{shop}' }, headers: { 'X-Token': '{access_token}' } },
      ],
      pagination: { style: 'next_url', from: '@odata\\.nextLink' },
      idempotency: { header: 'Idempotency-Key' },
    },
    rate_limits: {
      scope: { captured: 'team' },
      rate: { requests: 10, window: 60 },
      concurrency: 3,
      reason: { header: 'X-Reason', scopes: { app: 'integration' } },
      documented: ['10 a minute'],
    },
  });
  const acme = providersOf(catalogue).get('acme')!;
  expect(acme.rate_limits).toMatchObject({ status: [429], signals: [] });
  expect(explainApi(acme)).toEqual([
    '',
    'Calls of the API',
    '  Host files: https://files.{region}.acme.test',
    '  A check calls GET /teams/{team}?fields=id (oauth2_code).',
    '  A check calls POST the base URL at files where none before it fits.',
    '  Lists go on by the URL of the next page.',
    '  Repeated requests are safe with the header Idempotency-Key.',
    '  Its limits are counted for all connections with the same team.',
    '  Limit: 10 requests in 60 seconds.',
    '  Limit: 3 requests at once.',
    '  - 10 a minute',
  ]);
  expect(explainApi(providersOf(load({})).get('acme')!)).toEqual([]);
});

describe('API of an entry: an issue', () => {
  test.each<[string, { api?: object; rate_limits?: object }, RegExp]>([
    [
      'a host of another param',
      { api: { other_hosts: { files: 'https://{regio}.acme.test' } } },
      /other_hosts\.files: \{regio\}/,
    ],
    ['a host over http', { api: { other_hosts: { files: 'http://acme.test' } } }, /other_hosts\.files/],
    ['an alias that no header can have', { api: { other_hosts: { 'Files!': 'https://acme.test' } } }, /other_hosts/],
    ['a call at a host that there is not', whoami({ host: 'files' }), /whoami\[0\]\.host: "files"/],
    ['a call for a mode that there is not', whoami({ only: ['oidc'] }), /only: there is no mode "oidc"/],
    ['a path of another param', whoami({ path: '/{tem}' }), /path: \{tem\}/],
    ['a param of a mode that the call is not for', whoami({ path: '/{team}', only: ['api_key'] }), /path: \{team\}/],
    ['a token in the path', whoami({ path: '/{access_token}' }), /path: \{access_token\}/],
    ['a path that is a host', whoami({ path: '//evil.test' }), /path/],
    ['a body of a GET', whoami({ json: { a: 1 } }), /a GET has no body/],
    ['two bodies', whoami({ method: 'POST', json: {}, form: {} }), /either json or form/],
    ['an endpoint and a path', whoami({ endpoint: 'userinfo', path: '/me' }), /instead of a host and a path/],
    ['a subject where no ID token is', whoami({ subject: 'sub' }), /for modes with a browser/],
    ['an identity that nothing captures', whoami({ identity: { tem: 'id' } }), /identity\.tem/],
    ['a condition of nothing', whoami({ healthy_when: { path: 'ok' } }), /equals or present/],
    [
      'a place of a key that is two',
      { api: { idempotency: { header: 'A', query: 'b' } } },
      /one of header, body, query/,
    ],
    ['a scope that nothing captures', { rate_limits: { scope: { captured: 'tem' } } }, /rate_limits\.scope: "tem"/],
    [
      'a reason with a scope that nothing captures',
      { rate_limits: { scope: 'connection', reason: { header: 'X', scopes: { app: { captured: 'x' } } } } },
      /reason\.scopes\.app/,
    ],
    [
      'a signal of a status alone',
      { rate_limits: { scope: 'connection', signals: [{ status: [403] }] } },
      /condition besides/,
    ],
    [
      'a unit that there is not',
      { rate_limits: { scope: 'connection', headers: { reset: { name: 'X', unit: 's' } } } },
      /unit/,
    ],
  ])('%s', (_, given, issue) => {
    expect(issuesOf(load(given)).join('\n')).toMatch(issue);
  });

  test('a call below a base URL that a mode does not have', () => {
    const dir = createFolder({ 'acme.json': entry('acme', { api: { whoami: [{ path: '/me' }] } }) });
    expect(issuesOf(loadCatalogue([dir])).join('\n')).toMatch(/whoami\[0\]: a mode that it is for has no api_base_url/);
  });
});
