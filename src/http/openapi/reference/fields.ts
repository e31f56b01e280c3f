// The members of a body, or the parameters of a request: names, types, descriptions, constraints.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';
import { type Description, type Parameter, resolved, type Schema } from '../document.ts';
import { limitsOf, typeOf, words } from './markup.ts';

interface Field {
  name: string;
  schema: Schema;
  required: boolean;
  /** The location of a parameter; undefined in a body. */
  place?: string;
}

export const parameterFields = (document: Description, parameters: readonly Parameter[]): Html =>
  list(
    document,
    parameters.map(({ name, schema, required = false, in: place }) => ({ name, schema, required, place })),
  );

/** Undefined: the schema has no members to list. */
export function bodyFields(document: Description, schema: Schema): Html | undefined {
  const { oneOf, anyOf, items, properties, required = [], additionalProperties } = resolved(document, schema);
  const alternatives = oneOf ?? anyOf;
  if (alternatives) {
    const kinds = alternatives.flatMap((one) => {
      const fields = bodyFields(document, one);
      return fields ? [html`<li>${one.title ? html`<p>${one.title}</p>` : ''}${fields}</li>`] : [];
    });
    return kinds.length > 0 ? html`<ul class="kinds">${kinds}</ul>` : undefined;
  }
  if (items) return bodyFields(document, items);
  if (!properties)
    return typeof additionalProperties === 'object' ? bodyFields(document, additionalProperties) : undefined;
  const fields = Object.entries(properties).map(([name, one]) => ({
    name,
    schema: one,
    required: required.includes(name),
  }));
  return list(document, fields);
}

const list = (document: Description, fields: readonly Field[]): Html =>
  html`<dl class="fields">${fields.map((field) => one(document, field))}</dl>`;

function one(document: Description, { name, schema, required, place }: Field): Html {
  const whole = { ...resolved(document, schema), ...schema };
  const inner = bodyFields(document, schema);
  const limits = [...limitsOf(whole), ...(whole.items ? limitsOf(resolved(document, whole.items)) : [])];
  return html`
    <div>
      <dt>
        <code>${name}</code>
        <span class="type">${typeOf(document, schema)}${place ? html`, in the ${place}` : ''}</span>
        ${required ? html`<span class="required">required</span>` : ''}
      </dt>
      <dd>
        ${whole.description ? html`<p>${words(whole.description)}</p>` : ''}
        ${limits.length > 0 ? html`<p class="limits">${limits.map((limit, i) => html`${i > 0 ? '; ' : ''}${limit}`)}</p>` : ''}
        ${inner ?? ''}
      </dd>
    </div>`;
}
