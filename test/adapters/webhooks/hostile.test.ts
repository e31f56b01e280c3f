// Hostile senders: nothing that is sent makes the engine throw, and nothing verifies that was not signed.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { providersOf } from '../../support/entries.ts';
import { createEngine, keysOf, NOW, requestOf } from './engine.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20_260_302);
const RUNS = Number(process.env.FUZZ_RUNS ?? 25);
const providers = providersOf(loadCatalogue([]));
const engine = createEngine({ fetch: async () => ({ status: 200, text: async () => '{"keys":[]}' }) });

/** Every header and query parameter that an entry reads. */
const namesIn = (webhooks: object, source: string) =>
  [...JSON.stringify(webhooks).matchAll(new RegExp(`${source}:([A-Za-z0-9._-]+)`, 'g'))].map(([, name]) =>
    name!.toLowerCase(),
  );

const text = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    ...[
      '',
      '0',
      'null',
      'sha256=',
      'v0=',
      `v1,${'A'.repeat(44)}`,
      `t=${NOW / 1_000},v1=${'0'.repeat(64)}`,
      'Bearer a.b.c',
    ],
    ...[
      'Basic Og==',
      'HMAC AAAA',
      String(NOW / 1_000),
      String(NOW),
      new Date(NOW).toISOString(),
      '__proto__',
      'v2',
      'v1',
    ],
    ...[
      'https://api.paypal.com/x',
      'eyJhbGciOiJub25lIn0.e30.',
      'subscribe',
      'SHA256withRSA',
      '0'.repeat(64),
      'A'.repeat(43),
    ],
  ),
);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.json({ maxDepth: 4 }).map((json) => Buffer.from(json)),
  fc.dictionary(text, text).map((fields) => Buffer.from(new URLSearchParams(fields).toString())),
  fc
    .constantFrom(
      '['.repeat(50_000),
      '{"a":'.repeat(50_000),
      '[{}',
      '"\\ud800"',
      '\uFEFF[]',
      '<a><b>',
      '<Notification>'.repeat(10_000),
    )
    .map((given) => Buffer.from(given)),
  fc
    .record({
      token: text,
      passcode: text,
      challenge: text,
      type: text,
      event: text,
      value: fc.array(fc.record({ clientState: text })),
      notificationItems: fc.array(fc.object()),
      signature: fc.object(),
    })
    .map((value) => Buffer.from(JSON.stringify(value))),
);
const contentType = fc.constantFrom('application/json', 'application/x-www-form-urlencoded', 'text/xml', '', 'x');

describe.each([...providers].filter(([, { webhooks }]) => Object.keys(webhooks).length > 0))(
  '%s',
  (_, { webhooks }) => {
    const headerNames = [
      ...new Set([
        ...namesIn(webhooks, 'header'),
        'authorization',
        'webhook-id',
        'webhook-signature',
        'webhook-timestamp',
      ]),
    ];
    const queryNames = namesIn(webhooks, 'query');
    const request = fc.record({
      method: fc.constantFrom('POST', 'GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT', 'POST', 'POST'),
      headers: fc
        .tuple(
          fc.dictionary(fc.constantFrom(...headerNames), text),
          contentType.map((type): Record<string, string> => ({ 'content-type': type })),
        )
        .map(([some, type]) => ({ ...some, ...type })),
      query: fc.dictionary(fc.constantFrom('x', ...queryNames), text),
      body,
    });
    const secret = 'a-secret-that-nobody-sends-Zm9v';

    it('nothing throws, and nothing verifies', async () => {
      const property = fc.asyncProperty(request, async ({ query, ...given }) => {
        const asked = requestOf({ ...given, url: `https://b.example/webhooks/x?${new URLSearchParams(query)}` });
        for (const keys of [keysOf({ secrets: [secret], clientSecret: `${secret}2` }), keysOf()]) {
          const { body: _, ...head } = asked;
          const early = engine.precheck(webhooks, head, keys);
          const verdict = await engine.verify(webhooks, asked, keys);
          expect(verdict.kind).not.toBe('verified');
          if (early) expect(verdict).toMatchObject({ kind: 'refused' });
          if (verdict.kind === 'handshake') {
            expect(verdict.learnedSecret).toBeNull();
            expect(JSON.stringify(verdict.answer)).not.toContain(secret);
          }
        }
        // What the hook alone lets in ends nothing by itself.
        const hooked = await engine.verify(webhooks, asked, keysOf({ hasHook: true }));
        if (hooked.kind === 'verified') expect(hooked.isSenderAuthenticated).toBe(false);
      });
      await fc.assert(property, { numRuns: RUNS, seed: SEED });
    });
  },
);

describe('a large form that no one has signed', () => {
  const forms = [...providers].filter(([, { webhooks }]) => /\{form\|(?:sorted|joined)/.test(JSON.stringify(webhooks)));

  it.each(forms)('of %s is refused before it is read', async (_, { webhooks }) => {
    const names = Array.from({ length: 150_000 }, (_, index) => `${index.toString(36)}=`);
    const signatures = namesIn(webhooks, 'header').filter((name) => name.endsWith('-signature'));
    const asked = requestOf({
      headers: Object.fromEntries(signatures.map((name) => [name, Buffer.alloc(20).toString('base64')])),
      body: names.join('&'),
    });
    const verdict = await engine.verify(webhooks, asked, keysOf({ secrets: ['secret'], clientSecret: 'secret' }));
    expect(verdict).toMatchObject({ kind: 'refused', status: 413, reason: 'too_large' });
  });
});
