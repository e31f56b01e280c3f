// An example for each request and response body: the example of its schema, or one composed of the examples of its
// members (a page of connections contains a connection).
import { type Description, type Example, type Media, resolved, type Schema } from './document.ts';

/** Its own example, or one for each alternative, named after its title. Undefined if the schema has none, which fails a test. */
export function namedExamples(document: Description, schema: Schema): Record<string, Example> | undefined {
  const { oneOf, examples } = resolved(document, schema);
  const named = (examples ? [schema] : (oneOf ?? [schema])).flatMap((one) => {
    const value = exampleOf(document, one);
    const { title: summary } = oneOf && !examples ? one : {};
    return value === undefined ? [] : [[slug(summary ?? 'example'), { ...(summary && { summary }), value }] as const];
  });
  return named.length > 0 ? Object.fromEntries(named) : undefined;
}

const slug = (text: string) => text.toLowerCase().replace(/[^a-z0-9]+/g, '_');

function exampleOf(document: Description, schema: Schema): unknown {
  const { examples, properties, items, type } = resolved(document, schema);
  if (examples) return examples[0];
  if (items) {
    const item = exampleOf(document, items);
    return item === undefined ? undefined : [item];
  }
  if (properties) {
    const members = Object.entries(properties).map(([name, one]) => [name, exampleOf(document, one)] as const);
    return members.every(([, value]) => value !== undefined) ? Object.fromEntries(members) : undefined;
  }
  return Array.isArray(type) && type.includes('null') ? null : undefined;
}

/** Adds examples to a body, unless the route has set some. */
export function exemplify(document: Description, media: Media): void {
  media.examples ??= namedExamples(document, media.schema) ?? {};
}
