// Whether the conditions of a dialect hold for what was sent.
import type { WebhookConditions } from '../../domain/webhook-dialect.ts';
import { sameText } from './constant-time.ts';
import { expressionOf, fillAll, type Scope, textOf, valuesOf } from './values.ts';

type Expected = WebhookConditions[string];

/** All must hold. */
export const hold = (conditions: WebhookConditions, scope: Scope): boolean =>
  Object.entries(conditions).every(([expression, expected]) => holds(expression, expected, scope));

function holds(expression: string, expected: Expected, scope: Scope): boolean {
  const values = valuesOf(expressionOf(expression), scope);
  if (typeof expected === 'boolean') return values.length > 0 === expected;
  const texts = values.flatMap((value) => textOf(value) ?? []);
  if (typeof expected === 'string') return texts.some((text) => isOneOf(text, [expected], scope));
  if (Array.isArray(expected)) return texts.some((text) => isOneOf(text, expected, scope));
  if ('not' in expected) return !texts.some((text) => isOneOf(text, expected.not, scope));
  const pattern = new RegExp(`^(?:${expected.matches})$`, 'u');
  return texts.length > 0 && texts.every((text) => text.length <= MAX_MATCHED && pattern.test(text));
}

/** What is compared with a pattern is echoed or signed. */
const MAX_MATCHED = 2_000;

const isOneOf = (text: string, templates: readonly string[], scope: Scope): boolean =>
  templates
    .flatMap((template) =>
      template === '{secret}' ? scope.keys.secrets.filter((one) => one !== '') : fillAll(template, scope),
    )
    .some((one) => sameText(one, text));

const IN_BODY = ['body', 'item', 'parent', 'root', 'form', 'xml', 'claim', 'field', 'type'];

/** Those that are known before the body is read. */
export const withoutBody = (conditions: WebhookConditions): WebhookConditions =>
  Object.fromEntries(Object.entries(conditions).filter(([expression]) => !isInBody(expression)));

export const isInBody = (expression: string): boolean => IN_BODY.includes(expressionOf(expression).source);
