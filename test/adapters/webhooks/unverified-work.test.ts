// What a sender may have done before its signature is known to be right: little, and none of it twice.
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIssuerKeys } from '../../../src/adapters/jwt/jwks.ts';
import { applyFilter } from '../../../src/adapters/webhooks/filters.ts';
import { parseJson } from '../../../src/adapters/webhooks/json.ts';
import { createCertificates } from '../../../src/adapters/webhooks/schemes/certificates.ts';
import { verifyScheme } from '../../../src/adapters/webhooks/schemes/index.ts';
import { Sent } from '../../../src/adapters/webhooks/sent.ts';
import type { ProviderWebhooks } from '../../../src/domain/webhook-dialect.ts';
import type { WebhookKeys } from '../../../src/ports/webhook-verifier.ts';
import {
  createEngine,
  endpointOf,
  type Given,
  keysOf,
  NOW,
  noFetch,
  reasonOf,
  requestOf,
  URL_CALLED,
} from './engine.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20_260_302);
const engine = createEngine();
const key = { what: 'secret' };
const secrets = ['secret'];
const verify = (webhooks: ProviderWebhooks, given: Given, keys: Partial<WebhookKeys> = { secrets }) =>
  engine.verify(webhooks, requestOf(given), keysOf(keys));
const hmac = (text: string, secret = 'secret') => createHmac('sha256', secret).update(text).digest('hex');
const TOO_LARGE = { kind: 'refused', status: 413, reason: 'too_large' };

describe('a form', () => {
  const signed = ['{url}{form|sorted}', '{url|other_port}{form|sorted}'];
  const webhooks = endpointOf({
    format: 'form',
    verify: { scheme: 'hmac', signature: { in: 'header:x-sig' }, signed, key },
  });
  const names = (count: number) => Array.from({ length: count }, (_, index) => String(index).padStart(5, '0'));
  const sent = (count: number): Given => ({
    body: names(count)
      .map((name) => `${name}=`)
      .join('&'),
    headers: { 'x-sig': hmac(URL_CALLED + names(count).join('')) },
  });

  it('of 2,000 fields is verified, one more is refused as too large, though it is signed', async () => {
    expect(reasonOf(await verify(webhooks, sent(2_000)))).toBe('verified');
    expect(await verify(webhooks, sent(2_001))).toEqual(TOO_LARGE);
  });

  it('is sorted once for each form of the text, however many keys there are', async () => {
    let asked = 0;
    class Counting extends Sent {
      override get form() {
        asked += 1;
        return super.form;
      }
    }
    const { body, ...head } = requestOf(sent(10));
    const scope = { sent: new Counting(head, body), keys: keysOf({ secrets: ['a', 'b', 'c', 'd', 'e'] }) };
    const clock = { now: () => NOW, monotonic: () => 0 };
    const published = { issuers: createIssuerKeys(noFetch, clock), certificates: createCertificates(noFetch, clock) };
    expect(await verifyScheme(webhooks.endpoint!, scope, published)).toMatchObject({ reason: 'wrong_signature' });
    expect(asked).toBe(signed.length);
  });
});

describe('a batch whose events are verified one by one', () => {
  const event = { batch: ['items[]'] };
  const signed = endpointOf({
    event,
    verify: { scheme: 'hmac', signature: { in: 'item:sig' }, signed: '{item:id}', key, each: true },
  });
  const withToken = endpointOf({ event, verify: { scheme: 'body_token', in: 'item:token', key, each: true } });
  const right = { id: 'a', sig: hmac('a'), token: 'secret' };
  const batch = (...items: unknown[]): Given => ({ body: JSON.stringify({ items }) });

  it.each([
    ['signatures', signed],
    ['tokens', withToken],
  ])('with %s: 5,000 are verified, more are refused as too large', async (_, webhooks) => {
    expect(reasonOf(await verify(webhooks, batch(...Array(5_000).fill(right))))).toBe('verified');
    expect(await verify(webhooks, batch(...Array(5_001).fill(right)))).toEqual(TOO_LARGE);
    expect(await verify(webhooks, batch(...Array(5_001).fill(null)))).toEqual(TOO_LARGE);
  });

  it.each([
    ['signatures', signed, 'wrong_signature'],
    ['tokens', withToken, 'wrong_token'],
  ])('with %s: the first that is wrong ends it', async (_, webhooks, reason) => {
    let read = 0;
    const counting = {
      get secrets() {
        read += 1;
        return secrets;
      },
    };
    const keys = Object.defineProperties(keysOf(), Object.getOwnPropertyDescriptors(counting));
    const wrong = { ...right, sig: hmac('b'), token: 'other' };
    const verdict = await engine.verify(webhooks, requestOf(batch(wrong, ...Array(4_000).fill(right))), keys);
    expect(reasonOf(verdict)).toBe(reason);
    expect(read).toBeLessThan(10);
  });

  it('of several lists: those of each are verified', async () => {
    const lists = endpointOf({ ...{ verify: signed.endpoint!.verify }, event: { batch: ['items[]', 'more[]'] } });
    const sent = (more: object) => verify(lists, { body: JSON.stringify({ items: [right], more: [more] }) });
    expect([reasonOf(await sent(right)), reasonOf(await sent({ ...right, sig: hmac('b') }))]).toEqual([
      'verified',
      'wrong_signature',
    ]);
  });
});

describe('JSON that takes long to parse', () => {
  const token = { scheme: 'body_token', in: 'item:token', key } as const;
  const inBody = endpointOf({ verify: token, event: { type: ['{item:type}'] } });
  const inField = endpointOf({ verify: token, format: 'form', json_field: 'payload' });
  const inHeader = endpointOf({
    verify: { scheme: 'hmac', signature: { in: 'header:x-sig' }, signed: '{body}', key },
    event: { type: ['{item:type}'] },
  });
  const withMore = (more: string) => `{"token":"secret","type":"push","more":${more}}`;
  const lists = (depth: number) => withMore('['.repeat(depth - 1) + ']'.repeat(depth - 1));
  const elements = (separators: number) => withMore(`[${'1,'.repeat(separators - 5)}1]`);
  const form = (json: string) => new URLSearchParams({ payload: json }).toString();

  it.each([
    ['lists in lists', lists(64), lists(65)],
    ['elements', elements(100_000), elements(100_001)],
  ])('is refused as too large before its sender is known, whatever token it has: %s', async (_, most, more) => {
    expect(reasonOf(await verify(inBody, { body: most }))).toBe('verified');
    expect(await verify(inBody, { body: more })).toEqual(TOO_LARGE);
    expect(reasonOf(await verify(inField, { body: form(most) }))).toBe('verified');
    expect(await verify(inField, { body: form(more) })).toEqual(TOO_LARGE);
    expect([parseJson(most), parseJson(more)]).toEqual([JSON.parse(most), undefined]);
  });

  it.each([
    ['objects in objects', '{"a":'.repeat(65)],
    ['lists that do not end', '['.repeat(65)],
    ['members', `{${Array.from({ length: 50_001 }, (_, index) => `"${index}":1`).join(',')}}`],
  ])('is refused as too large without a token: %s', async (_, body) => {
    expect(await verify(inBody, { body })).toEqual(TOO_LARGE);
  });

  it('is parsed once a signature in a header is verified', async () => {
    for (const body of [lists(1_000), elements(200_000)])
      expect(await verify(inHeader, { body, headers: { 'x-sig': hmac(body) } })).toMatchObject({
        kind: 'verified',
        events: [{ type: 'push' }],
      });
  });

  it('is not what has brackets, commas and colons in its texts', async () => {
    const body = withMore(JSON.stringify('\\"[{,:'.repeat(100_000)));
    expect(reasonOf(await verify(inBody, { body }))).toBe('verified');
  });
});

it('JSON is parsed as by a reviver that keeps inexact integers as text, and what is none is none', () => {
  const withReviver = (text: string): unknown => {
    try {
      return JSON.parse(text, (_, value: unknown, context?: { source?: string }) => {
        const source = context?.source;
        const isInexact = typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined;
        return isInexact && /^-?\d+$/.test(source) ? source : value;
      });
    } catch {
      return undefined;
    }
  };
  const piece = fc.oneof(
    fc.constantFrom(...'[]{},:"\\-+.eE0 \n', '":', '{"a":', '",', '\\"', 'é', '9007199254740991', '9007199254740992'),
    fc.constantFrom(
      '12345678901234567890',
      '-9007199254740993',
      '1.12345678901234567',
      '1e12345678901234567',
      '0',
      '1',
    ),
  );
  const broken = fc.array(piece, { maxLength: 12 }).map((pieces) => `[12345678901234567,${pieces.join('')}]`);
  const number = fc.oneof(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map(String), fc.double().map(String));
  const whole = fc
    .array(
      fc.tuple(
        fc.json(),
        number.filter((text) => /^[-\d]/.test(text) && text !== '-Infinity'),
      ),
      { maxLength: 6 },
    )
    .map((all) => `[${all.map(([json, digits]) => `${json}, {"a${digits}" : ${digits} }`).join(',')}]`);
  fc.assert(
    fc.property(fc.oneof(broken, whole), (text) => {
      expect(parseJson(text)).toEqual(withReviver(text));
    }),
    { numRuns: 2_000, seed: SEED },
  );
});

it('the filter `escaped` writes other characters than ASCII and slashes as PHP does', () => {
  const reference = (text: string) =>
    text
      .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .replaceAll(/(?<!\\)\//g, '\\/');
  const unit = fc.constantFrom('/', '\\', 'a', '\u007f', 'é', '\uffff', '😀', '"');
  fc.assert(
    fc.property(fc.string({ unit }), (text) => {
      expect(applyFilter('escaped', text, undefined, undefined).map((bytes) => String(bytes))).toEqual([
        reference(text),
      ]);
    }),
  );
});
