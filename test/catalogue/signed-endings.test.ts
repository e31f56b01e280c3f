// What a webhook ends, or puts on hold, is named by what the vendor has signed: anyone who knows the URL can send something else beside it, and a
// tenant may have the vendor sign a body of their own, by a webhook to another URL.
import { expect, test } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import type { WebhookEndpointDialect } from '../../src/domain/webhook-dialect.ts';
import { parseTemplate } from '../../src/domain/webhook-template.ts';
import { providersOf } from '../support/entries.ts';

const IN_BODY = ['item', 'parent', 'root', 'form', 'xml', 'body'];

/** The sources of a template, a header with its name in lower case. */
function sourcesOf(template: string): string[] {
  const parts = parseTemplate(template);
  if ('issue' in parts) throw new Error(parts.issue);
  return parts.flatMap((part) => {
    if (typeof part === 'string') return [];
    return part.source === 'header' ? `header:${part.argument?.toLowerCase()}` : part.source;
  });
}

/** Whether the signature covers it. Who sends a secret has said all of the request. */
function covers({ verify }: WebhookEndpointDialect): (source: string) => boolean {
  switch (verify.scheme) {
    case 'shared_token':
    case 'body_token':
    case 'basic':
      return () => true;
    case 'signed_request':
    case 'sns':
    case 'standard_webhooks':
      return (source) => IN_BODY.includes(source);
    case 'jwt': {
      const hasBody = Object.values(verify.require).includes('{body|sha256}');
      return (source) => source === 'claim' || (hasBody && IN_BODY.includes(source));
    }
    case 'none':
    case 'set':
      return () => false;
    default: {
      const signed = [verify.signed].flat().map(sourcesOf);
      const isSigned = (source: string) => signed.every((sources) => sources.includes(source));
      const hasBody = isSigned('body') || isSigned('form') || Object.values(verify.require).includes('{body|sha256}');
      return (source) => isSigned(source) || (hasBody && IN_BODY.includes(source));
    }
  }
}

/** Where nothing that is signed names a connection: a request with less in it than these vendors send. */
const WITHOUT_NAMES = [
  'shopify events: header:shopify-shop-domain',
  'shopify webhooks: header:x-shopify-shop-domain',
  'monday events: item',
];

test('what a webhook ends or puts on hold is named by what its signature covers', () => {
  const found = [...providersOf(loadCatalogue([])).values()].flatMap(({ id, webhooks }) =>
    Object.entries(webhooks)
      .filter(([, { authenticates, verify }]) => authenticates && verify.scheme !== 'none')
      .flatMap(([name, endpoint]) => {
        const isCovered = covers(endpoint);
        return [...endpoint.deauthorization, ...endpoint.hold]
          .flatMap(({ connection = endpoint.connection }) => connection.flatMap(({ value }) => sourcesOf(value)))
          .filter((source) => !isCovered(source))
          .map((source) => `${id} ${name}: ${source}`);
      }),
  );
  expect(found.toSorted()).toEqual(WITHOUT_NAMES.toSorted());
});
