// The catalogue: built-in entries, loading of files, and entries that extend others.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkFile, loadCatalogue } from '../../src/catalogue/load.ts';
import { fieldIssues } from '../../src/domain/fields.ts';
import { NO_SECRETS, resolveTarget } from '../../src/domain/target.ts';
import { codeMode, createFolder, entry, issuesOf, providersOf } from '../support/entries.ts';

const builtIn = providersOf(loadCatalogue([]));

describe('built-in entries', () => {
  test('are valid, one per file', () => {
    const files = readdirSync(new URL('../../src/catalogue/', import.meta.url))
      .filter((file) => file.endsWith('.json') && !file.endsWith('.schema.json'))
      .map((file) => file.replace(/\.json$/, ''));
    expect([...builtIn.keys()].sort()).toEqual(files.sort());
    expect(builtIn.size).toBeGreaterThanOrEqual(71);
  });

  test.each([...builtIn])('%s: every example matches its own pattern', (_, provider) => {
    const asked = [provider, ...provider.auth].flatMap((at) => [at.params, at.connection_params]);
    for (const fields of asked) {
      const examples = Object.entries(fields).flatMap(([name, { example }]) =>
        example === undefined ? [] : [[name, example]],
      );
      expect(fieldIssues('params', fields, Object.fromEntries(examples), 'allowed')).toEqual([]);
    }
  });

  test('generic-oidc: the issuer may be at loopback, without user info, query or fragment', () => {
    const fields = builtIn.get('generic-oidc')!.params;
    const issues = (issuer: string) => fieldIssues('params', fields, { issuer });
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
    for (const issuer of good) expect(issues(issuer), issuer).toEqual([]);
    for (const issuer of bad) expect(issues(issuer), issuer).toHaveLength(1);
  });

  test('generic-oauth2: works without a revocation URL, and refuses user info', () => {
    const provider = builtIn.get('generic-oauth2')!;
    const params = { authorization_url: 'http://127.0.0.1:1/a?x=1', token_url: 'https://x/t' };
    expect(fieldIssues('params', provider.params, params)).toEqual([]);
    const integration = { id: 'acme', version: 1, clientId: 'id', keyId: null, params, overrides: {} };
    const { endpoints } = resolveTarget(provider, integration, NO_SECRETS, {});
    expect(endpoints).toEqual({ authorization: 'http://127.0.0.1:1/a?x=1', token: 'https://x/t' });
    for (const url of ['https://u:p@x/t', 'https://x/t#a', 'javascript:alert(1)', 'https://x'])
      expect(fieldIssues('params', provider.params, { ...params, token_url: url }), url).toHaveLength(1);
  });
});

test('docs/providers.md: its example entry is valid', () => {
  const docs = readFileSync(new URL('../../docs/providers.md', import.meta.url), 'utf8');
  const [, diff = ''] = /```diff\n([\s\S]*?)```/.exec(docs) ?? [];
  const added = diff.split('\n').filter((line) => /^\+(?!\+)/.test(line));
  const dir = createFolder({ 'acme.json': added.map((line) => line.slice(1)).join('\n') });
  expect(providersOf(loadCatalogue([dir])).get('acme')?.auth).toHaveLength(1);
});

describe('loader', () => {
  test("prefers a deployment's entry to a built-in one of the same id, and the last folder to all", () => {
    const one = createFolder({ 'github.json': entry('github'), 'acme.json': entry('acme') });
    const other = createFolder({ 'acme.json': entry('acme', { name: 'Acme Two' }) });
    const providers = providersOf(loadCatalogue([one, other]));
    expect(providers.get('github')?.name).toBe('Acme');
    expect(providers.get('acme')?.name).toBe('Acme Two');
    expect(providers.get('acme')?.auth[0]).toMatchObject({ pkce: 'S256', revocation: { style: 'rfc7009' } });
    expect(providers.size).toBe(builtIn.size + 1);
  });

  test('reports every issue of every file at once, by file and field', () => {
    const dir = createFolder({
      'acme.json': entry('acme', { auth: [codeMode({ token_url: 'http://acme.test/t' })] }),
      'array.json': [],
      'broken.json': '{',
      'extra.json': entry('extra', { colour: 'red' }),
      'many.json': entry('many', { docs_url: 'nowhere', confidence: 'high' }),
      'misnamed.json': entry('other'),
      'mode.json': entry('mode', { auth: [{ mode: 'telepathy' }] }),
      'none.json': entry('none', { auth: [] }),
      'orphan.json': { id: 'orphan', extends: 'nobody' },
      'own.schema.json': 'not an entry',
      'readme.txt': 'not an entry',
    });
    expect(issuesOf(loadCatalogue([dir])).sort()).toEqual([
      'acme.json: auth[0].token_url: an https URL, or one that begins with a {parameter}; http only at loopback',
      'array.json: not a JSON object',
      'broken.json: not valid JSON',
      expect.stringMatching(/^extra\.json: the file: .*colour/),
      expect.stringMatching(/^many\.json: confidence: /),
      expect.stringMatching(/^many\.json: docs_url: /),
      'misnamed.json: id: "other" must be the file\'s name, "misnamed"',
      expect.stringMatching(/^mode\.json: auth\[0\]\.mode: /),
      expect.stringMatching(/^none\.json: auth: /),
      'orphan.json: extends: there is no entry "nobody"',
    ]);
  });

  test('returns no catalogue when there is an issue', () => {
    expect(loadCatalogue([createFolder({ 'acme.json': entry('acme'), 'broken.json': '{' })]).ok).toBe(false);
  });

  test('reports a missing folder and an unreadable file', () => {
    expect(issuesOf(loadCatalogue(['/nowhere/at/all']))).toEqual(['/nowhere/at/all: cannot be read as a folder']);
    expect(checkFile('/nowhere/at/all.json', [])).toEqual({ issues: ['cannot be read'] });
  });

  test('checks one file together with the others', () => {
    const dir = createFolder({ 'base.json': entry('base') });
    const files = createFolder({
      'acme.json': { id: 'acme', name: 'Acme', extends: 'base' },
      'misnamed.json': entry('acme'),
      'broken.json': '{',
    });
    expect(checkFile(join(files, 'acme.json'), [dir])).toMatchObject({ provider: { id: 'acme', extends: 'base' } });
    expect(checkFile(join(files, 'acme.json'), [])).toEqual({ issues: ['extends: there is no entry "base"'] });
    expect(checkFile(join(files, 'misnamed.json'), [dir])).toEqual({
      issues: ['id: "acme" must be the file\'s name, "misnamed"'],
    });
    expect(checkFile(join(files, 'broken.json'), [dir])).toEqual({ issues: ['not valid JSON'] });
  });
});

describe('entry that extends another', () => {
  const base = entry('base', {
    notes: ['of the base'],
    params: { region: { title: 'region', pattern: 'eu|us', default: 'eu' } },
    api_headers: { one: '1', two: '2' },
    auth: [
      codeMode({ title: 'for people', default_scopes: ['read'], refresh: { rotates: 'always', reuse_grace: 60 } }),
      codeMode({ variant: 'bot', token_url: 'https://acme.test/bots' }),
      { mode: 'api_key', title: 'a key' },
    ],
  });
  const load = (more: object, others: object = {}) =>
    loadCatalogue([
      createFolder({ 'base.json': base, 'acme.json': { id: 'acme', extends: 'base', ...more }, ...others }),
    ]);
  const made = (more: object, others: object = {}) => providersOf(load(more, others)).get('acme')!;

  test('merges records over it, and replaces everything else', () => {
    const acme = made({
      name: 'Acme Two',
      notes: ['its own'],
      params: { region: { default: 'us' }, team: { title: 'team', pattern: '.+' } },
      api_headers: { two: 'II' },
    });
    expect(acme).toMatchObject({ id: 'acme', extends: 'base', name: 'Acme Two', notes: ['its own'] });
    expect(acme.params).toMatchObject({ region: { title: 'region', pattern: 'eu|us', default: 'us' }, team: {} });
    expect(acme.api_headers).toEqual({ one: '1', two: 'II' });
    expect(acme.auth).toHaveLength(3);
  });

  test('has only its listed modes, each merged over the one of the same mode and variant', () => {
    const { auth } = made({
      auth: [
        { mode: 'oauth2_code', variant: 'bot', refresh: { rotates: 'never' } },
        { mode: 'oauth2_code', default_scopes: ['write'], refresh: { rotates: 'never' } },
        { mode: 'basic', title: 'new here' },
      ],
    });
    expect(auth.map(({ mode, variant }) => [mode, variant])).toEqual([
      ['oauth2_code', 'bot'],
      ['oauth2_code', undefined],
      ['basic', undefined],
    ]);
    expect(auth[0]).toMatchObject({ token_url: 'https://acme.test/bots', refresh: { rotates: 'never' } });
    expect(auth[0]).not.toMatchObject({ refresh: { reuse_grace: 60 } });
    expect(auth[1]).toMatchObject({
      title: 'for people',
      token_url: 'https://acme.test/t',
      default_scopes: ['write'],
      refresh: { rotates: 'never', reuse_grace: 60 },
    });
  });

  test('removes a field with null, at any depth', () => {
    const acme = made({
      params: { region: { default: null } },
      api_headers: { one: null },
      auth: [{ mode: 'oauth2_code', title: null, refresh: { reuse_grace: null } }],
    });
    expect(acme.params.region).not.toHaveProperty('default');
    expect(acme.api_headers).toEqual({ two: '2' });
    expect(acme.auth[0]).not.toHaveProperty('title');
    expect(acme.auth[0]).toMatchObject({ refresh: { rotates: 'always' } });
    expect(acme.auth[0]).not.toHaveProperty('refresh.reuse_grace');
    expect(issuesOf(load({ docs_url: null }))).toEqual([expect.stringMatching(/^acme\.json: docs_url: /)]);
  });

  test('may extend one that extends another', () => {
    const middle = { id: 'middle', extends: 'base', name: 'Middle', api_headers: { two: 'II' } };
    const acme = made({ extends: 'middle', api_headers: { one: 'I' } }, { 'middle.json': middle });
    expect(acme).toMatchObject({ name: 'Middle', api_headers: { one: 'I', two: 'II' }, notes: ['of the base'] });
  });

  test("may extend a built-in one, or a deployment's entry of that id", () => {
    const dir = createFolder({
      'github.json': entry('github', { name: 'Ours' }),
      'acme.json': { id: 'acme', extends: 'github' },
      'lab.json': { id: 'lab', extends: 'gitlab' },
    });
    const providers = providersOf(loadCatalogue([dir]));
    expect(providers.get('acme')?.name).toBe('Ours');
    expect(providers.get('lab')?.auth).toEqual(builtIn.get('gitlab')?.auth);
  });

  test('does not change the other', () => {
    const providers = providersOf(load({ api_headers: { one: null }, auth: [{ mode: 'api_key', title: null }] }));
    expect(providers.get('base')).toMatchObject({ api_headers: { one: '1', two: '2' }, auth: [{}, {}, {}] });
  });

  test('reports issues of the merged entry under its own file', () => {
    expect(issuesOf(load({ params: { region: { default: 'mars' } } }))).toEqual([
      'acme.json: params.region.default: is not a valid value of it',
    ]);
  });

  test('must extend an existing one', () => {
    expect(issuesOf(load({ extends: 'nobody' }))).toEqual(['acme.json: extends: there is no entry "nobody"']);
    expect(issuesOf(load({ extends: 7 }))).toEqual(['acme.json: extends: must be the id of another entry']);
    expect(issuesOf(load({ extends: null }))).toEqual(['acme.json: extends: must be the id of another entry']);
    expect(issuesOf(load({ extends: 'middle' }, { 'middle.json': { id: 'middle', extends: 'nobody' } }))).toEqual([
      'acme.json: extends: there is no entry "nobody"',
      'middle.json: extends: there is no entry "nobody"',
    ]);
  });

  test('must not be circular', () => {
    expect(issuesOf(load({ extends: 'acme' }))).toEqual(['acme.json: extends: circular: acme → acme']);
    expect(issuesOf(load({ extends: 'middle' }, { 'middle.json': { id: 'middle', extends: 'acme' } }))).toEqual([
      'acme.json: extends: circular: middle → acme → middle',
      'middle.json: extends: circular: acme → middle → acme',
    ]);
  });
});
