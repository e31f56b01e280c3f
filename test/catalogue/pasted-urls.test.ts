// What people paste in place of a subdomain or a host: every parameter of that kind, in every entry.
import { describe, expect, test } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { asMeant, isValid, type ParamField } from '../../src/domain/fields.ts';

const catalogue = loadCatalogue([]);
if (!catalogue.ok) throw new Error(catalogue.issues.join('\n'));

/** Each parameter, with all templates of its entry. */
const all = [...catalogue.providers.values()].flatMap((provider) => {
  const templates = JSON.stringify(provider);
  const sets = [provider, ...provider.auth].flatMap(({ params, connection_params }) => [params, connection_params]);
  return sets.flatMap((fields) =>
    Object.entries(fields).map(([name, field]) => ({ at: `${provider.id}.${name}`, name, field, templates })),
  );
});
const read = (field: ParamField, text: string) => asMeant({ it: field }, { it: text }).it;

/** Words of the vendor's documentation, and values that no address bar shows. */
const NOT_PASTED = /\.(resource|service|region|live_url_prefix|api)$/;

test('every parameter without options that is the beginning of a host name says where it is found', () => {
  const isHost = (name: string, templates: string) => templates.includes(`https://{${name}}`);
  const missing = all.filter(
    ({ at, name, field, templates }) =>
      isHost(name, templates) && field.options === undefined && field.found_in === undefined && !NOT_PASTED.test(at),
  );
  expect(missing.map(({ at }) => at)).toEqual([]);
});

const found = all.filter(({ field }) => field.found_in !== undefined);

test.each(found.map(({ at, field }) => [at, field] as const))('%s is read from URLs, and in upper case', (_, field) => {
  const example = field.example ?? field.default!;
  expect(read(field, example)).toBe(example);
  for (const place of field.found_in!) {
    const url = place.replace('{}', example);
    for (const text of [`https://${url}`, `https://${url}/agent/x?y=1#z`, `${url}/`, ` HTTP://${url} \n`])
      expect(read(field, text), text).toBe(example);
  }
  const upper = read(field, example.toUpperCase())!;
  expect(isValid(field, upper), upper).toBe(true);
});

describe('what is not meant', () => {
  const field = found.find(({ at }) => at === 'zendesk.subdomain')!.field;

  test.each([
    'https://acme.zendesk.com@evil.example/',
    'https://evil.example/acme.zendesk.com',
    'https://evil.example/?x=acme.zendesk.com',
    'https://evil.example#acme.zendesk.com',
    'https://acme.zendesk.com.evil.example/',
    'https://a.b.zendesk.com/',
    'https://zendesk.com/',
    'https://u:p@acme.zendesk.com/',
    'ftp://acme.zendesk.com/',
    'javascript:acme.zendesk.com',
    'https://acme.zendesk.com:8443/',
    'https://-acme.zendesk.com/',
    'acmezendesk.com',
    'https://',
  ])('%j stays as it is, and is refused', (text) => {
    expect(read(field, text)).toBe(text);
    expect(isValid(field, text)).toBe(false);
  });

  test('a field that does not say where it is found is not changed', () => {
    expect(read({ title: 'x', pattern: '[a-z]+', optional: false }, ' ACME')).toBe(' ACME');
  });
});
