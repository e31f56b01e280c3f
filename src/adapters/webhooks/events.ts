// The events of a verified delivery: split, each with its id, type, own bytes, and where its connections are looked for.
import { createHash } from 'node:crypto';
import type { WebhookEndpointDialect, WebhookLocator } from '../../domain/webhook-dialect.ts';
import type { WebhookEvent } from '../../ports/webhook-verifier.ts';
import { hold } from './conditions.ts';
import { type Item, itemsAt, MAX_ITEMS, stepsOf } from './json-paths.ts';
import { spansAt } from './json-spans.ts';
import { expressionOf, fillAll, firstOf, type Scope, textOf, valuesOf } from './values.ts';
import { elements } from './xml.ts';

/** Ids and types that are longer are no ids. */
const MAX_TEXT = 255;

interface Part {
  scope: Scope;
  body: Buffer;
}

/** Undefined: there are too many. */
export function eventsOf(endpoint: WebhookEndpointDialect, scope: Scope): WebhookEvent[] | undefined {
  const parts = partsOf(endpoint, scope);
  if (parts === undefined || parts.length > MAX_ITEMS) return undefined;
  return parts.map((part, index) => eventOf(endpoint, part, index));
}

function partsOf({ event, format, json_field: jsonField }: WebhookEndpointDialect, scope: Scope): Part[] | undefined {
  const whole = scope.sent.body ?? Buffer.alloc(0);
  const single = [{ scope, body: whole }];
  if (event.batch.length === 0) return single;
  if (format === 'xml') {
    const found = event.batch.flatMap((name) => elements(scope.sent.text ?? '', name, MAX_ITEMS + 1));
    return found.length === 0
      ? single
      : found.map((element) => ({ scope: { ...scope, element }, body: Buffer.from(element) }));
  }
  const root = scope.document?.();
  const found: { path: string; items: Item[] | undefined }[] = [];
  for (const path of event.batch) {
    const items = itemsAt(root, path);
    if (items === 'too_many') return undefined;
    found.push({ path, items });
  }
  if (found.every(({ items }) => items === undefined)) return single;
  const isCut = jsonField === undefined && root === scope.sent.json;
  return found.flatMap(({ path, items = [] }) => {
    const spans = isCut ? spansAt(whole, stepsOf(path)).filter(([start, end]) => !isNull(whole, start, end)) : [];
    return items.map(({ value, parent }, index) => {
      const [start, end] = (spans.length === items.length && spans[index]) || [undefined, undefined];
      const body = start === undefined ? Buffer.from(JSON.stringify(value)) : whole.subarray(start, end);
      return { scope: { ...scope, item: value, parent }, body };
    });
  });
}

const isNull = (bytes: Buffer, start: number, end: number): boolean =>
  end - start === 4 && bytes.toString('latin1', start, end) === 'null';

function eventOf(
  { event, connection, deauthorization, hold: holds }: WebhookEndpointDialect,
  part: Part,
  index: number,
): WebhookEvent {
  const type = short(firstOf(event.type, part.scope));
  const scope = { ...part.scope, type };
  const id = firstOf(event.id, scope);
  const ended = deauthorization.find(({ when }) => hold(when, scope));
  const held = ended ? undefined : holds.find(({ when }) => hold(when, scope));
  return {
    index,
    id: short(id),
    type,
    key: keyOf(event, id, { ...part, scope }, index),
    locators: locatorsOf((ended ?? held)?.connection ?? connection, scope),
    isDeauthorization: ended !== undefined,
    hold: held ? (held.lifts ? 'release' : 'hold') : null,
    body: part.body,
  };
}

const short = (text: string | undefined): string | null => (text === undefined || text.length > MAX_TEXT ? null : text);

/** What repeats has a key of its own each time. */
function keyOf(
  { digest: templates, repeats }: WebhookEndpointDialect['event'],
  id: string | undefined,
  { scope, body }: Part,
  index: number,
): string {
  if (id !== undefined) return short(id) ?? digest(id);
  const key = digestOf(templates, scope, body);
  return repeats ? digest(`${key} ${scope.sent.request.receivedAt} ${index}`) : key;
}

const digest = (of: string | Uint8Array): string => `sha256:${createHash('sha256').update(of).digest('hex')}`;

/** Of the named values, or of the bytes where there is none. Objects count as their JSON. */
function digestOf(templates: readonly string[] | undefined, scope: Scope, body: Uint8Array): string {
  const values = (templates ?? []).map((template) => digestTexts(template, scope));
  return values.some((texts) => texts.length > 0) ? digest(JSON.stringify(values)) : digest(body);
}

function digestTexts(template: string, scope: Scope): string[] {
  const [, expression] = /^\{([^{}]+)\}$/.exec(template) ?? [];
  if (expression === undefined) return fillAll(template, scope);
  return valuesOf(expressionOf(expression), scope).map((value) => textOf(value) ?? JSON.stringify(value));
}

const locatorsOf = (locators: readonly WebhookLocator[], scope: Scope): WebhookEvent['locators'] =>
  locators.flatMap(({ match, value, without }) => {
    const values = [...new Set(fillAll(value, scope))].filter((text) => text !== '');
    return values.length === 0 ? [] : [{ key: match, values, ...(without !== undefined && { without }) }];
  });
