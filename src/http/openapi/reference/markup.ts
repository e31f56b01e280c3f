// The smallest parts of the reference: text with inline code, code blocks, types and constraints of a schema.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';
import { type Description, resolved, type Schema } from '../document.ts';

/** Text between `backticks` is code. */
export const words = (text: string): Html =>
  html`${text.split('`').map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : part))}`;

/** Lines may break anywhere, so that nothing scrolls sideways. */
export const block = (text: string): Html => html`<pre><code>${text}</code></pre>`;

export const asJson = (value: unknown): string => JSON.stringify(value, null, 2);

/** `string`, `list of string`, `Connection`, `integer or null` */
export function typeOf(document: Description, schema: Schema): string {
  const {
    type,
    items,
    oneOf,
    anyOf,
    additionalProperties,
    properties,
    const: only,
    enum: choices,
  } = resolved(document, schema);
  const alternatives = oneOf ?? anyOf;
  if (alternatives) return [...new Set(alternatives.map((one) => typeOf(document, one)))].join(' or ');
  const name = [type ?? typeof (only ?? choices?.[0] ?? {})].flat();
  const names = name.map((one) => {
    if (one === 'array') return items ? `list of ${typeOf(document, items)}` : 'list';
    if (one !== 'object' || properties) return one;
    const valued = typeof additionalProperties === 'object' && Object.keys(additionalProperties).length > 0;
    return valued ? `map of ${typeOf(document, additionalProperties)}` : 'object';
  });
  return names.join(' or ');
}

const FORMATS: Record<string, string> = { 'date-time': 'a time (RFC 3339)', uri: 'a URL' };

/** The constraints of a value, in words. */
export function limitsOf(schema: Schema): Html[] {
  const { minLength, maxLength, minimum, maximum, minItems, maxItems, minProperties, pattern, format } = schema;
  const choices = schema.const === undefined ? (schema.enum ?? []) : [schema.const];
  return [
    choices.length > 0 && html`${choices.length > 1 ? 'one of ' : ''}${listed(choices)}`,
    format !== undefined && html`${FORMATS[format] ?? format}`,
    range(minLength, maxLength, 'characters'),
    range(minimum, maximum),
    range(minItems, maxItems, 'items'),
    range(minProperties, undefined, 'members'),
    pattern !== undefined && html`matches <code>${pattern}</code>`,
  ].filter((limit) => limit !== false);
}

const listed = (values: readonly unknown[]): Html =>
  html`${values.map((value, i) => html`${i > 0 ? ', ' : ''}<code>${String(value)}</code>`)}`;

function range(least: number | undefined, most: number | undefined, unit = ''): Html | false {
  const of = unit && ` ${unit}`;
  if (least !== undefined && most !== undefined) return html`${least} to ${most}${of}`;
  if (most !== undefined) return html`at most ${most}${of}`;
  return least !== undefined && least > 0 && html`at least ${least}${of}`;
}
