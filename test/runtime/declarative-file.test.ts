// The example of docs/declarative-file.md, against the parser and against the generated JSON Schema.
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { refuse } from '../../src/domain/errors.ts';
import { applyDeclared } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const example = /```json\n([\s\S]*?)```/.exec(read('docs/declarative-file.md'))?.[1] ?? '';
const names = [...example.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name!);
const env = Object.fromEntries(names.map((name) => [name, `${name}-${'x'.repeat(32)}`]));

const parse = (file: unknown) =>
  parseConfig({ VALETKEY_CONFIG: 'valetkey.json', ...env }, () =>
    typeof file === 'string' ? file : JSON.stringify(file),
  );

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
addFormats.default(ajv);
const matchesSchema = ajv.compile(JSON.parse(read('docs/valetkey-config.schema.json')));

describe('the example of docs/declarative-file.md', () => {
  test('is taken by the parser, with every member in use', () => {
    const parsed = parse(example);
    if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
    const { integrations, callers, trusted_issuers, return_origins } = parsed.config.declared;
    for (const list of [integrations, callers, trusted_issuers, return_origins]) expect(list).not.toEqual([]);
    for (const { provider } of integrations) expect(parsed.config.catalogue.has(provider)).toBe(true);
    expect(integrations[0]?.client_secret).toBe(env.GITHUB_CLIENT_SECRET);
  });

  test('matches the JSON Schema as it is written', () => {
    matchesSchema(JSON.parse(example));
    expect(matchesSchema.errors).toBeNull();
  });
});

test('a start that cannot apply the file says why, also where no member of it is wrong', async () => {
  const parsed = parse(example);
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const detail = 'Nothing was applied: a caller was changed meanwhile.';
  const apply = { atStart: async () => refuse({ code: 'invalid_request', detail }), apply: () => Promise.reject() };
  await expect(applyDeclared({ apply }, parsed.config)).rejects.toThrow(`VALETKEY_CONFIG: ${detail}`);
});

describe('the JSON Schema of the declarative file', () => {
  const oidc = { id: 'acme', provider: 'generic-oidc' };
  const grants = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];

  test.each<[string, unknown]>([
    ['an unknown member', { colour: 'red' }],
    ['an unknown member of an integration', { integrations: [{ ...oidc, colour: 'red' }] }],
    ['a missing member', { integrations: [{ id: 'acme' }] }],
    ['a bad id', { integrations: [{ ...oidc, id: 'A B' }] }],
    ['an unknown action', { callers: [{ name: 'x', grants: [{ ...grants[0], actions: ['fly'] }] }] }],
    ['a short key', { callers: [{ name: 'x', grants, key: 'short' }] }],
    ['a member of the request to apply it', { dry_run: true }],
  ])('refuses %s, as the parser does', (_, file) => {
    expect(parse(file).ok).toBe(false);
    expect(matchesSchema(file)).toBe(false);
  });

  test('takes a text from the environment where the text itself would be refused', () => {
    expect(matchesSchema({ callers: [{ name: 'x', grants, key: `\${KEY}` }], return_origins: [`\${ORIGIN}`] })).toBe(
      true,
    );
  });
});
