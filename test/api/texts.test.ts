// The texts of the API: what is checked of one that is too long, and what its patterns cost.
import { z } from '@hono/zod-openapi';
import { expect, test } from 'vitest';
import * as api from '../../src/api/index.ts';

type Schema = z.core.$ZodType;
interface Check {
  check: string;
  maximum?: number;
  pattern?: RegExp;
  abort?: boolean;
}
interface Text {
  path: string;
  checks: Check[];
}

/** What a schema is made of, by name. */
function partsOf(schema: Schema): [name: string, part: Schema][] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'object':
      return [...Object.entries(def.shape), ...(def.catchall ? [['*', def.catchall] as [string, Schema]] : [])];
    case 'array':
      return [['[]', def.element]];
    case 'record':
      return [
        ['{key}', def.keyType],
        ['{}', def.valueType],
      ];
    case 'union':
      return def.options.map((option, i) => [`|${i}`, option]);
    case 'pipe':
      return [
        ['in', def.in],
        ['out', def.out],
      ];
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
      return [['', def.innerType]];
    default:
      return [];
  }
}

function textsOf(schema: Schema, path: string): Text[] {
  const { def } = schema._zod;
  // The check of a format, such as that of a URL, is the schema itself.
  const own = def.type === 'string' && 'check' in def ? [schema as unknown as z.core.$ZodCheck] : [];
  const checks = [...own, ...(def.checks ?? [])].map((one) => one._zod.def as unknown as Check);
  const within = partsOf(schema).flatMap(([name, part]) => textsOf(part, name === '' ? path : `${path}.${name}`));
  return def.type === 'string' ? [{ path, checks }, ...within] : within;
}

const texts = Object.entries(api).flatMap(([name, value]) => (value instanceof z.ZodType ? textsOf(value, name) : []));

const boundOf = ({ checks }: Text) => checks.find(({ check }) => check === 'max_length');
const patternsOf = ({ checks }: Text) => checks.flatMap(({ pattern }) => pattern ?? []);

/** Without classes and escaped characters, in which a quantifier is a character. */
const quantifiersOf = ({ source }: RegExp): number => {
  const bare = source.replace(/\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|.)/g, 'x').replace(/\[[^\]]*\]/g, 'x');
  return [...bare.matchAll(/[*+]|\{\d+,\}/g)].length;
};

test('texts: those of all resources are found', () => {
  expect(texts.length).toBeGreaterThan(300);
  for (const path of [
    'AgentSessionPost.purpose',
    'AgentSessionPost.actor.id',
    'ExchangeForm.purpose',
    'SessionPost.ui_locales',
  ])
    expect(texts.map((text) => text.path)).toContain(path);
});

test('a text that is too long: nothing else is checked', () => {
  const goesOn = texts.filter((text) => {
    const bound = boundOf(text);
    return bound !== undefined && !bound.abort && text.checks.some(({ check }) => !check.endsWith('_length'));
  });
  expect(goesOn.map(({ path }) => path)).toEqual([]);
});

/** What the broker says itself. */
const isAnswered = ({ path }: Text) => /^(?:ApiDescriptionView|IntrospectionJwt)\b/.test(path);

test('a pattern takes time in proportion to the text, or runs on short ones: anchored, with one quantifier without a bound', () => {
  const slow = texts.filter(
    (text) =>
      !isAnswered(text) &&
      patternsOf(text).some((pattern) => !pattern.source.startsWith('^') || quantifiersOf(pattern) > 1),
  );
  expect(slow.filter((text) => !((boundOf(text)?.maximum ?? Infinity) <= 100)).map(({ path }) => path)).toEqual([]);
});

test.each([
  ['too long, with a control character at its end', `${'x'.repeat(60_000)}\u0001`, ['too_big']],
  ['with a control character', 'x\u0001', ['invalid_format']],
  ['blank', ' \u00a0 ', ['custom']],
  ['empty', '', ['invalid_format']],
  ['one line', ' summarise the week ', []],
])('the purpose of a session that is %s', (_, purpose, codes) => {
  expect(api.Purpose.safeParse(purpose).error?.issues.map(({ code }) => code) ?? []).toEqual(codes);
});
