// Fields of an entry: validation of their values, and templates.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fieldIssues, fill, fillAll, placeholders, valuesOf } from '../../src/domain/fields.ts';
import { CredentialFields, Params } from '../../src/domain/fields-schema.ts';

const REGIONS = { eu: 'https://eu.acme.test', us: 'https://us.acme.test' };
const fields = Params.parse({
  subdomain: { title: 'Subdomain', pattern: '[a-z]+|[0-9]{4}', example: 'acme' },
  region: { title: 'Region', options: REGIONS, default: 'eu' },
  team: { title: 'Team', pattern: '.+', optional: true },
});

const names = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
const values = fc.dictionary(names, fc.string(), { maxKeys: 6 });
const text = fc.string().map((given) => given.replaceAll(/[{}]/g, ''));

describe('template', () => {
  test('without names: unchanged', () => {
    fc.assert(
      fc.property(text, values, (template, given) => {
        expect(fill(template, given)).toBe(template);
      }),
    );
  });

  test('is filled with each value, whatever characters it has', () => {
    const parts = fc.array(fc.tuple(text, names, fc.string()), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(parts, text, (pieces, end) => {
        const given = Object.fromEntries(pieces.map(([, name, value]) => [name, value]));
        const template = pieces.map(([before, name]) => `${before}{${name}}`).join('') + end;
        const whole = pieces.map(([before, name]) => before + given[name]).join('') + end;
        expect(fill(template, given)).toBe(whole);
        expect(placeholders(template)).toEqual(pieces.map(([, name]) => name));
      }),
    );
  });

  test('is undefined when one value is missing', () => {
    fc.assert(
      fc.property(names, values, (name, given) => {
        fc.pre(!Object.hasOwn(given, name));
        expect(fill(`https://{${name}}.acme.test`, given)).toBeUndefined();
      }),
    );
  });

  test('ignores inherited properties of the values', () => {
    expect(fill('{constructor}', {})).toBeUndefined();
  });

  test('is filled once: a value is not a template', () => {
    expect(fill('{a}/{b}', { a: '{b}', b: '$&$1{a}' })).toBe('{b}/$&$1{a}');
  });

  test('encodes only values', () => {
    expect(fill('https://acme.test/a b/{token}?x={token}', { token: 'a/b&c' }, encodeURIComponent)).toBe(
      'https://acme.test/a b/a%2Fb%26c?x=a%2Fb%26c',
    );
  });

  test('fillAll omits only templates with missing values', () => {
    expect(fillAll({ one: '{a}', two: '{a}-{missing}', three: 'plain' }, { a: '1' })).toEqual({
      one: '1',
      three: 'plain',
    });
  });

  test('has only lower-case names', () => {
    expect(placeholders('{a}{B}{1}{ a }{a-b}{a_1}')).toEqual(['a', 'a_1']);
  });
});

describe('fieldIssues', () => {
  const issuesOf = (given: Record<string, string>, missing?: 'refused' | 'allowed') =>
    fieldIssues('params', fields, given, missing);

  test('accepts required values, with defaults for the rest', () => {
    expect(issuesOf({ subdomain: 'acme' })).toEqual([]);
    expect(issuesOf({ subdomain: '1234', region: 'us', team: 'blue' })).toEqual([]);
  });

  test('reports every issue at once', () => {
    expect(issuesOf({ region: 'mars', team: '', colour: 'red' })).toEqual([
      {
        path: 'params.colour',
        message: 'unknown for this provider, which takes: subdomain, region, team',
      },
      { path: 'params.subdomain', message: 'Subdomain is required, for example acme' },
      { path: 'params.region', message: 'not a valid Region; one of: eu, us' },
      { path: 'params.team', message: 'not a valid Team' },
    ]);
    expect(fieldIssues('credentials', {}, { a: 'b' })).toEqual([
      { path: 'credentials.a', message: 'unknown for this provider, which takes: none' },
    ]);
  });

  test('allows missing values if told so, never invalid ones', () => {
    expect(issuesOf({}, 'allowed')).toEqual([]);
    expect(issuesOf({ subdomain: 'A' }, 'allowed')).toHaveLength(1);
  });

  test.each(['acme1234', 'acme\n', '\nacme', 'acme.evil', 'aacme/', '12345', ''])(
    'matches the pattern as a whole, each of its alternatives: not %j',
    (subdomain) => {
      expect(issuesOf({ subdomain })).toHaveLength(1);
    },
  );

  test.each(['toString', 'constructor', '__proto__', 'EU', ' eu'])(
    'is no option because it looks like one: %j',
    (region) => {
      expect(issuesOf({ subdomain: 'acme', region })).toHaveLength(1);
    },
  );

  test('never contains a given value', () => {
    const secret = CredentialFields.parse({ api_key: { title: 'API key', pattern: 'sk_[a-z]+' } });
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Z0-9]{12,30}$/), (given) => {
        expect(JSON.stringify(fieldIssues('credentials', secret, { api_key: given }))).not.toContain(given);
      }),
    );
  });
});

describe('valuesOf', () => {
  test('returns given values and defaults, with options replaced by what they stand for', () => {
    expect(valuesOf(fields, { subdomain: 'acme' })).toEqual({ subdomain: 'acme', region: REGIONS.eu });
    expect(valuesOf(fields, { subdomain: 'acme', region: 'us', team: 'blue' })).toEqual({
      subdomain: 'acme',
      region: REGIONS.us,
      team: 'blue',
    });
  });

  test('ignores unknown values', () => {
    fc.assert(
      fc.property(values, (given) => {
        const { subdomain: _s, region: _r, team: _t, ...others } = given;
        expect(valuesOf(fields, others)).toEqual({ region: REGIONS.eu });
      }),
    );
  });
});
