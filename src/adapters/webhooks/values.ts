// Fills the templates of a dialect with what was sent.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { memberOf } from '../../domain/json.ts';
import { type Expression, parseExpression, parseTemplate, type TemplatePart } from '../../domain/webhook-template.ts';
import type { WebhookKeys } from '../../ports/webhook-verifier.ts';
import { applyFilter } from './filters.ts';
import { allAt } from './json-paths.ts';
import type { Sent } from './sent.ts';
import { textIn } from './xml.ts';

/** What a template may speak of. */
export interface Scope {
  sent: Sent;
  keys: WebhookKeys;
  /** The JSON of the whole body, which is parsed when a template first asks for it. */
  document?: () => unknown;
  /** The JSON of the event, and of what has it, once there is more than the whole body. */
  item?: unknown;
  parent?: unknown;
  /** The text of the event's element, with xml. */
  element?: string | undefined;
  claims?: Record<string, unknown> | undefined;
  fields?: Record<string, string> | undefined;
  /** The key that a text is signed with. */
  secret?: Buffer | undefined;
  type?: string | null;
}

/** Templates are of the catalogue, and few are of integrations. */
function parsedOnce<T extends object>(parse: (text: string) => T | { issue: string }): (text: string) => T {
  const known = new LRUCache<string, T>(upTo(5_000));
  return (text) => {
    const found = known.get(text);
    if (found) return found;
    const parsed = parse(text);
    if ('issue' in parsed) throw new Error(`the catalogue has checked it: ${parsed.issue}`);
    known.set(text, parsed);
    return parsed;
  };
}

const partsOf = parsedOnce<readonly TemplatePart[]>(parseTemplate);
export const expressionOf = parsedOnce<Expression>(parseExpression);

/** All values of an expression: several, where a path has `[]`. */
export const valuesOf = ({ source, argument, filters }: Expression, scope: Scope): unknown[] =>
  filters
    .reduce(
      (values, filter) => values.flatMap((value) => applyFilter(filter.name, value, filter.argument, scope.secret)),
      sourceValues(source, argument, scope),
    )
    .filter((value) => value !== undefined && value !== null);

function sourceValues(source: Expression['source'], argument: string | undefined, scope: Scope): unknown[] {
  const { sent, keys } = scope;
  const name = argument ?? '';
  switch (source) {
    case 'body':
      return argument === undefined ? [sent.body] : [];
    case 'url':
      return [sent.request.url];
    case 'method':
      return [sent.request.method];
    case 'header':
      return [sent.header(name)];
    case 'query':
      return argument === undefined ? [sent.query] : sent.query.getAll(name);
    case 'form':
      return argument === undefined ? [sent.form] : (sent.form?.getAll(name) ?? []);
    case 'item':
      return allAt(scope.item ?? scope.document?.(), argument);
    case 'parent':
      return allAt(scope.parent ?? scope.document?.(), argument);
    case 'root':
      return allAt(scope.document?.(), argument);
    case 'xml':
      return [(scope.element && textIn(scope.element, name)) ?? sent.xmlText(name)];
    case 'claim':
      return allAt(
        memberOf(scope.claims, name) ?? scope.claims,
        memberOf(scope.claims, name) === undefined ? name : undefined,
      );
    case 'field':
      return [scope.fields && memberOf(scope.fields, name)];
    case 'params':
      return [memberOf(keys.params, name)];
    case 'client_id':
      return [keys.clientId];
    case 'secret':
      return [scope.secret];
    case 'type':
      return [scope.type];
  }
}

/** Scalars, and bytes of UTF-8. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : undefined;
}

const textsOf = (expression: Expression, scope: Scope): string[] =>
  valuesOf(expression, scope).flatMap((value) => textOf(value) ?? []);

/** The text at an expression that has one value. */
export function textAt(expression: string, scope: Scope): string | undefined {
  const [first, ...others] = textsOf(expressionOf(expression), scope);
  return others.length === 0 ? first : undefined;
}

const MAX_TEXTS = 1_000;

/** All texts that a template stands for; none when a value is missing. */
export function fillAll(template: string, scope: Scope): string[] {
  return partsOf(template).reduce<string[]>(
    (texts, part) => {
      const more = typeof part === 'string' ? [part] : textsOf(part, scope);
      return texts.flatMap((text) => more.map((one) => text + one)).slice(0, MAX_TEXTS);
    },
    [''],
  );
}

/** The first text of the first template that has one. */
export function firstOf(candidates: readonly string[] | undefined, scope: Scope): string | undefined {
  for (const template of candidates ?? []) {
    const [found] = fillAll(template, scope);
    if (found !== undefined && found !== '') return found;
  }
  return undefined;
}

/** Whether it is another text with another key. */
export const dependsOnKey = (template: string): boolean =>
  partsOf(template).some(
    (part) =>
      typeof part !== 'string' && (part.source === 'secret' || part.filters.some(({ name }) => name === 'hmac')),
  );

/** What is signed, in parts: the body is not copied. `empty`: a missing value is the empty text. Undefined: one is missing. */
export function bytesOf(template: string, scope: Scope, empty = false): Uint8Array[] | undefined {
  const parts: Uint8Array[] = [];
  for (const part of partsOf(template)) {
    const [value, ...others] = typeof part === 'string' ? [part] : valuesOf(part, scope);
    const bytes = value instanceof Uint8Array ? value : textOf(value);
    if ((bytes === undefined && !empty) || others.length > 0) return undefined;
    if (bytes !== undefined) parts.push(typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
  }
  return parts;
}
