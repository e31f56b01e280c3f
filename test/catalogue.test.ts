// The catalogue: the built-in entries, and how faults of others are told.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Catalogue, loadCatalogue } from '../src/catalogue/load.ts';
import type { Provider } from '../src/domain/provider.ts';
import { paramIssues, resolveTarget } from '../src/domain/target.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folder(files: Record<string, unknown>): string {
  const dir = mkdtempSync(join(tmpdir(), 'catalogue-'));
  folders.push(dir);
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
  return dir;
}

function providersOf(catalogue: Catalogue): Map<string, Provider> {
  if (!catalogue.ok) throw new Error(catalogue.issues.join('\n'));
  return catalogue.providers;
}
const issuesOf = (catalogue: Catalogue) => (catalogue.ok ? [] : catalogue.issues);

const entry = (id: string, auth: object = {}) => ({
  id,
  name: 'Acme',
  category: 'test',
  confidence: 'unverified',
  auth: [{ mode: 'oauth2_code', authorization_url: 'https://acme.test/a', token_url: 'https://acme.test/t', ...auth }],
});

test('the built-in entries are sound, and every example fits its own pattern', () => {
  const providers = providersOf(loadCatalogue([]));
  expect([...providers.keys()]).toEqual(expect.arrayContaining(['generic-oidc', 'generic-oauth2', 'github', 'google']));
  for (const { params, connection_params } of providers.values())
    for (const fields of [params, connection_params]) {
      const examples = Object.entries(fields).flatMap(([name, { example }]) =>
        example === undefined ? [] : [[name, example]],
      );
      expect(paramIssues(fields, Object.fromEntries(examples), 'allowed')).toEqual([]);
    }
});

test("a deployment's entry wins over the built-in one of the same id", () => {
  const dir = folder({ 'github.json': entry('github'), 'acme.json': entry('acme') });
  const providers = providersOf(loadCatalogue([dir]));
  expect(providers.get('github')?.name).toBe('Acme');
  expect(providers.get('acme')?.auth[0]).toMatchObject({ pkce: 'S256', revocation: { style: 'rfc7009' } });
  expect(providers.has('google')).toBe(true);
});

test('every fault of every file is told at once, by file and field', () => {
  const dir = folder({
    'acme.json': entry('acme', { token_url: 'http://acme.test/t' }),
    'broken.json': '{',
    'extra.json': { ...entry('extra'), colour: 'red' },
    'misnamed.json': entry('other'),
    'mode.json': { ...entry('mode'), auth: [{ mode: 'telepathy' }] },
    'twice.json': { ...entry('twice'), auth: [entry('x').auth[0], entry('x').auth[0]] },
    'hole.json': entry('hole', { authorization_url: 'https://{subdomain}.acme.test/a' }),
    'pattern.json': { ...entry('pattern'), params: { region: { title: 'region', pattern: '(' } } },
    'default.json': { ...entry('default'), params: { region: { title: 'region', pattern: 'eu|us', default: 'mars' } } },
    'readme.txt': 'not an entry',
  });
  const issues = issuesOf(loadCatalogue([dir]));
  expect(issues).toEqual([
    'acme.json: auth[0].token_url: an https URL, or one that begins with a {parameter}',
    'broken.json: not valid JSON',
    'default.json: params.region.default: does not match its pattern',
    expect.stringMatching(/^extra\.json: .*colour/),
    'hole.json: auth[0].authorization_url: {subdomain} is not among its params',
    'misnamed.json: id: "other" must be the file\'s name, "misnamed"',
    expect.stringMatching(/^mode\.json: auth\[0\]\.mode: /),
    'pattern.json: params.region.pattern: not a regular expression',
    'twice.json: auth: has the mode oauth2_code twice',
  ]);
});

test('a folder that is not there is told, not ignored', () => {
  expect(issuesOf(loadCatalogue(['/nowhere/at/all']))).toEqual(['/nowhere/at/all: not a folder that can be read']);
});

test('an issuer may be a loopback URL with a port, but holds no user info, query or fragment', () => {
  const fields = providersOf(loadCatalogue([])).get('generic-oidc')!.params;
  const good = [
    'https://id.example.com',
    'https://id.example.com/',
    'http://127.0.0.1:4000',
    'http://[::1]:4000/realms/a',
    'https://x/a%20b',
  ];
  const bad = [
    'id.example.com',
    'ftp://x',
    'https://',
    'https://u:p@x',
    'https://u@x/',
    'https://x?a',
    'https://x/a?b',
    'https://x/#a',
    'https://x/\\a',
    'https://x /',
    'https://x\n',
    'https://x/{a}',
  ];
  for (const issuer of good) expect(paramIssues(fields, { issuer }), issuer).toEqual([]);
  for (const issuer of bad) expect(paramIssues(fields, { issuer }), issuer).toHaveLength(1);
});

test('generic-oauth2 works without a revocation URL, and refuses user info in any of its URLs', () => {
  const provider = providersOf(loadCatalogue([])).get('generic-oauth2')!;
  const params = { authorization_url: 'http://127.0.0.1:1/a?x=1', token_url: 'https://x/t' };
  expect(paramIssues(provider.params, params)).toEqual([]);
  const target = resolveTarget(provider, { id: 'acme', version: 1, clientId: 'id', params, overrides: {} }, null, {});
  expect(target.endpoints).toEqual({ authorization: 'http://127.0.0.1:1/a?x=1', token: 'https://x/t' });
  for (const url of ['https://u:p@x/t', 'https://x/t#a', 'javascript:alert(1)', 'https://x'])
    expect(paramIssues(provider.params, { ...params, token_url: url }), url).toHaveLength(1);
});
