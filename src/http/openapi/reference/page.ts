// The API reference: one page with a table of contents, made from the OpenAPI document.
import { html } from 'hono/html';
import { type Html, mark } from '../../pages/layout.ts';
import { type Description, operationsOf, type Schema } from '../document.ts';
import { bodyFields } from './fields.ts';
import { asJson, block, words } from './markup.ts';
import { operationSection, type Place } from './operation.ts';

/** A page of its own, with docs.css on top of the stylesheet of the other pages. `base`: what every path begins with. */
export function docsPage(document: Description, base = ''): Html {
  const operations = operationsOf(document);
  const byTag = document.tags.flatMap((tag) => {
    const places = operations.filter(({ operation }) => operation.tags[0] === tag.name);
    return places.length > 0 ? [{ ...tag, places }] : [];
  });
  const { info, components } = document;
  const [lead = '', ...more] = info.description.split('\n\n');
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${info.title}: API reference</title>
    <link rel="stylesheet" href="${base}/assets/valetkey.css">
    <link rel="stylesheet" href="${base}/assets/docs.css">
  </head>
  <body class="docs">
    <a class="skip" href="#reference">Skip the contents</a>
    <nav aria-label="Contents">
      <p class="brand">${mark}<span>${info.title}</span></p>
      ${byTag.map(({ name, places }) => contentsPart(name, places))}
      <p><a href="#problems">Problems</a></p>
    </nav>
    <main id="reference" tabindex="-1">
      <h1>API reference</h1>
      <p class="lead">${words(lead)}</p>
      ${more.map((text) => html`<p>${words(text)}</p>`)}
      <p>
        ${Object.values(components.securitySchemes).map((one) => words(`${one.description}. `))}
        In the examples, <code>VALETKEY_URL</code> is the URL of the broker and <code>VALETKEY_KEY</code> your key. The same
        for machines: <a href="${base}/openapi.json">OpenAPI ${document.openapi}</a>.
      </p>
      ${byTag.map(
        ({ name, description, places }) => html`
        <section aria-labelledby="${idOf(name)}">
          <h2 id="${idOf(name)}">${titled(name)}</h2>
          <p>${words(description)}</p>
          ${places.map((place) => operationSection(document, place))}
        </section>`,
      )}
      <section aria-labelledby="problems">
        <h2 id="problems">Problems</h2>
        <p>
          Errors are <code>application/problem+json</code> (RFC 9457). Use <code>code</code> to distinguish them:
          <code>title</code> and <code>detail</code> are for people.
        </p>
        ${Object.entries(components.examples).map(([code, { summary = '', value }]) => problemPart(document, code, summary, value))}
      </section>
    </main>
  </body>
</html>
`;
}

const idOf = (tag: string): string => `tag-${tag.replaceAll(' ', '-')}`;
const titled = (tag: string): string => ACRONYMS[tag] ?? tag.charAt(0).toUpperCase() + tag.slice(1);
const ACRONYMS: Record<string, string> = { jwt: 'JWT', oauth: 'OAuth' };

const contentsPart = (name: string, places: readonly Place[]): Html => html`
  <p><a href="#${idOf(name)}">${titled(name)}</a></p>
  <ul>
    ${places.map(
      ({ method, operation }) => html`
      <li><a href="#${operation.operationId}"><span class="method ${method}">${method.toUpperCase()}</span> ${operation.summary}</a></li>`,
    )}
  </ul>`;

function problemPart(document: Description, code: string, title: string, value: unknown): Html {
  const { status } = value as { status: number };
  const own = ownMembers(document, code);
  return html`
    <section class="operation" id="problem-${code}" aria-labelledby="problem-${code}-title">
      <h3 id="problem-${code}-title"><a href="#problem-${code}">${title}</a></h3>
      <p class="route"><span class="method">${status}</span> <code>${code}</code></p>
      ${own ? html`<h4>Additional members</h4>${bodyFields(document, own)}` : ''}
      ${block(asJson(value))}
    </section>`;
}

/** The members that other problems do not have. */
function ownMembers(document: Description, code: string): Schema | undefined {
  const schema = Object.values(document.components.schemas).find((one) => one.properties?.code?.const === code);
  const { code: _, status: __, ...properties } = schema?.properties ?? {};
  return Object.keys(properties).length > 0 ? { properties, required: schema?.required ?? [] } : undefined;
}
