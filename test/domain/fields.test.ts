// Fields and templates: what an entry asks for, whether it was given, and what it is filled into.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CredentialFields, fieldIssues, fill, fillAll, holes, Params, valuesOf } from '../../src/domain/fields.ts';

const REGIONS = { eu: 'https://eu.acme.test', us: 'https://us.acme.test' };
const fields = Params.parse({
  subdomain: { title: 'Subdomain', pattern: '[a-z]+|[0-9]{4}', example: 'acme' },
  region: { title: 'Region', options: REGIONS, default: 'eu' },
  team: { title: 'Team', pattern: '.+', optional: true },
});

const names = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
const values = fc.dictionary(names, fc.string(), { maxKeys: 6 });
const text = fc.string().map((given) => given.replaceAll(/[{}]/g, ''));

describe('a template', () => {
  test('without names is filled as it is', () => {
    fc.assert(
      fc.property(text, values, (template, given) => {
        expect(fill(template, given)).toBe(template);
      }),
    );
  });

  test('is filled with each value between the texts around it, whatever the values hold', () => {
    const parts = fc.array(fc.tuple(text, names, fc.string()), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(parts, text, (pieces, end) => {
        const given = Object.fromEntries(pieces.map(([, name, value]) => [name, value]));
        const template = pieces.map(([before, name]) => `${before}{${name}}`).join('') + end;
        const whole = pieces.map(([before, name]) => before + given[name]).join('') + end;
        expect(fill(template, given)).toBe(whole);
        expect(holes(template)).toEqual(pieces.map(([, name]) => name));
      }),
    );
  });

  test('that lacks one value is left out as a whole', () => {
    fc.assert(
      fc.property(names, values, (name, given) => {
        fc.pre(!Object.hasOwn(given, name));
        expect(fill(`https://{${name}}.acme.test`, given)).toBeUndefined();
      }),
    );
  });

  test('does not take what every object has for a value', () => {
    expect(fill('{constructor}', {})).toBeUndefined();
  });

  test('is filled once: a value that looks like a name stays a value', () => {
    expect(fill('{a}/{b}', { a: '{b}', b: '$&$1{a}' })).toBe('{b}/$&$1{a}');
  });

  test('encodes values and nothing else', () => {
    expect(fill('https://acme.test/a b/{token}?x={token}', { token: 'a/b&c' }, encodeURIComponent)).toBe(
      'https://acme.test/a b/a%2Fb%26c?x=a%2Fb%26c',
    );
  });

  test('among several is left out alone', () => {
    expect(fillAll({ one: '{a}', two: '{a}-{missing}', three: 'plain' }, { a: '1' })).toEqual({
      one: '1',
      three: 'plain',
    });
  });

  test('takes only lower-case names for names', () => {
    expect(holes('{a}{B}{1}{ a }{a-b}{a_1}')).toEqual(['a', 'a_1']);
  });
});

describe('what was given', () => {
  const issuesOf = (given: Record<string, string>, missing?: 'refused' | 'allowed') =>
    fieldIssues('params', fields, given, missing);

  test('is fine with what is required, the rest left to defaults', () => {
    expect(issuesOf({ subdomain: 'acme' })).toEqual([]);
    expect(issuesOf({ subdomain: '1234', region: 'us', team: 'blue' })).toEqual([]);
  });

  test('is told all at once what is wrong with it', () => {
    expect(issuesOf({ region: 'mars', team: '', colour: 'red' })).toEqual([
      {
        path: 'params.colour',
        message: 'not asked for by this provider, which takes: subdomain, region, team',
      },
      { path: 'params.subdomain', message: 'Subdomain is required, for example acme' },
      { path: 'params.region', message: 'not a valid Region; one of: eu, us' },
      { path: 'params.team', message: 'not a valid Team' },
    ]);
    expect(fieldIssues('credentials', {}, { a: 'b' })).toEqual([
      { path: 'credentials.a', message: 'not asked for by this provider, which takes: none' },
    ]);
  });

  test('may be incomplete where the rest comes later, and never wrong', () => {
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

  test('is never repeated in what is said about it', () => {
    const secret = CredentialFields.parse({ api_key: { title: 'API key', pattern: 'sk_[a-z]+' } });
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Z0-9]{12,30}$/), (given) => {
        expect(JSON.stringify(fieldIssues('credentials', secret, { api_key: given }))).not.toContain(given);
      }),
    );
  });
});

describe('values for templates', () => {
  test('are what was given, defaults below, and options as what they stand for', () => {
    expect(valuesOf(fields, { subdomain: 'acme' })).toEqual({ subdomain: 'acme', region: REGIONS.eu });
    expect(valuesOf(fields, { subdomain: 'acme', region: 'us', team: 'blue' })).toEqual({
      subdomain: 'acme',
      region: REGIONS.us,
      team: 'blue',
    });
  });

  test('hold nothing that was not asked for', () => {
    fc.assert(
      fc.property(values, (given) => {
        const { subdomain: _s, region: _r, team: _t, ...others } = given;
        expect(valuesOf(fields, others)).toEqual({ region: REGIONS.eu });
      }),
    );
  });
});
