// Generates values from the schemas of openapi.json: valid, almost valid, and arbitrary.
import fc, { type Arbitrary } from 'fast-check';
import { type Description, resolved, type Schema } from '../../../src/http/openapi/document.ts';

/** Values for members or parameters by name, where arbitrary ones would be pointless or harmful. */
export type Pools = Readonly<Record<string, readonly unknown[]>>;

/** Names of inherited properties, text with a special meaning, and oversized values. */
const ODD_TEXTS = [
  '',
  ' ',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'null',
  '*',
  '%',
  '%00',
  '../../etc/passwd',
  '\u0000',
  'a\r\nSet-Cookie: x=1',
  '\ud800',
  '\u202e\u2066',
  '𝒳'.repeat(40),
  '{{7*7}}<script>alert(1)</script>',
  "' or 1=1; --",
  '9'.repeat(400),
  '1e999',
  'é́'.repeat(5_000),
  'a'.repeat(70_000),
];
const ODD_NUMBERS = [0, -0, -1, 0.1, 1e21, 2 ** 53, 2 ** 31, -(2 ** 63), Number.MAX_VALUE];

export const oddText: Arbitrary<string> = fc.oneof(
  fc.constantFrom(...ODD_TEXTS),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
);

const deep = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));

/** Any JSON. */
export const wild: Arbitrary<unknown> = fc.oneof(
  oddText,
  fc.constantFrom(...ODD_NUMBERS),
  fc.constantFrom(null, true, false, [], {}, deep(2_000)),
  fc.jsonValue({ maxDepth: 3 }),
  fc.dictionary(oddText, fc.oneof(oddText, fc.constant({})), { maxKeys: 5 }),
);

export function valid(document: Description, schema: Schema, pools: Pools, name = ''): Arbitrary<unknown> {
  const pool = pools[name];
  if (pool) return fc.constantFrom(...pool);
  const whole = resolved(document, schema);
  const inner = (one: Schema, of: string) => valid(document, one, pools, of);
  if (whole.const !== undefined) return fc.constant(whole.const);
  if (whole.enum) return fc.constantFrom(...whole.enum);
  const alternatives = whole.oneOf ?? whole.anyOf;
  if (alternatives) return fc.oneof(...alternatives.map((one) => inner(one, name)));
  const [type, ...others] = [whole.type].flat();
  const { items, properties, additionalProperties, required = [], minimum = 0, maximum = 1_000_000 } = whole;
  const made = (): Arbitrary<unknown> => {
    switch (type) {
      case 'string':
        return textOf(whole);
      case 'integer':
      case 'number':
        return fc.integer({ min: minimum, max: maximum });
      case 'boolean':
        return fc.boolean();
      case 'array':
        return fc.array(inner(items ?? {}, ''), { minLength: whole.minItems ?? 0, maxLength: 3 });
      case 'object': {
        const more = typeof additionalProperties === 'object' ? inner(additionalProperties, '') : fc.constant('x');
        if (!properties) return fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}$/), more, { maxKeys: 3 });
        const members = Object.entries(properties).map(([key, one]) => [key, inner(one, key)] as const);
        return fc.record(Object.fromEntries(members), { requiredKeys: required });
      }
      default:
        return fc.jsonValue({ maxDepth: 1 });
    }
  };
  return others.includes('null') ? fc.oneof(made(), fc.constant(null)) : made();
}

function textOf({ format, pattern, minLength = 0, maxLength = 64 }: Schema): Arbitrary<string> {
  if (format === 'date-time')
    return fc
      .date({ min: new Date('2020-01-01'), max: new Date('2040-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString());
  const most = Math.min(maxLength, minLength + 30);
  // The only syntax that `stringMatching` does not support.
  if (pattern !== undefined && !pattern.includes('{Cc}'))
    return fc.stringMatching(new RegExp(pattern, 'u'), { size: 'small' }).map((text) => text.slice(0, maxLength));
  return fc.string({ unit: fc.constantFrom(...'abcXYZ019 äöü@:.-_'), minLength, maxLength: most });
}

/** A valid body with one error. */
export const nearly = (body: Arbitrary<unknown>): Arbitrary<unknown> =>
  fc
    .record({ body, at: fc.nat(), how: fc.constantFrom('drop', 'replace', 'add', 'wrap'), value: wild, name: oddText })
    .map(({ body, at, how, value, name }) => {
      if (typeof body !== 'object' || body === null || Array.isArray(body)) return value;
      const entries = Object.entries(body);
      const i = entries.length === 0 ? 0 : at % entries.length;
      const [key, old] = entries[i] ?? [name, value];
      switch (how) {
        case 'drop':
          return Object.fromEntries(entries.filter((_, j) => j !== i));
        case 'replace':
          return Object.fromEntries([...entries, [key, value]]);
        case 'wrap':
          return Object.fromEntries([...entries, [key, [old]]]);
        default:
          return Object.fromEntries([...entries, [name, value]]);
      }
    });
