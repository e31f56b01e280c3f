// Signatures in headers: those of a list, in whatever company, and no header that is longer than any sender's.
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ProviderWebhooks } from '../../../src/domain/webhook-dialect.ts';
import type { WebhookKeys } from '../../../src/ports/webhook-verifier.ts';
import { createEngine, endpointOf, type Given, keysOf, NOW, reasonOf, requestOf } from './engine.ts';

const engine = createEngine();
const key = { what: 'secret' };
const secrets = ['secret'];
const verify = (webhooks: ProviderWebhooks, given: Given, keys: Partial<WebhookKeys> = { secrets }) =>
  engine.verify(webhooks, requestOf(given), keysOf(keys));
const hmac = (text: string) => createHmac('sha256', 'secret').update(text).digest('hex');

describe('standard webhooks', () => {
  const webhooks = endpointOf({ verify: { scheme: 'standard_webhooks', key } });
  const body = '{"a":1}';
  const at = String(NOW / 1_000);
  const secret = Buffer.alloc(32, 7);
  const right = `v1,${createHmac('sha256', secret).update(`m.${at}.${body}`).digest('base64')}`;
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const rightOfKeys = `v1a,${sign(null, Buffer.from(`m.${at}.${body}`), privateKey).toString('base64')}`;
  const publicText = `whpk_${Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('base64')}`;
  const sent = (list: string) =>
    verify(
      webhooks,
      { body, headers: { 'webhook-id': 'm', 'webhook-timestamp': at, 'webhook-signature': list } },
      { secrets: [secret.toString('base64'), publicText] },
    );

  it.each([
    ['alone', right, 'verified'],
    ['behind others', `v1,AAAA v1a,AAAA ${right}`, 'verified'],
    ['behind one of another version', `v2,AAAA ${right} v2,BBBB`, 'verified'],
    ['of a header that was repeated', `v1,AAAA, ${right}`, 'verified'],
    ['behind many separators', `${', '.repeat(1_900)}${right}`, 'verified'],
    ['in a header of more than 4,096 characters', `${right}${','.repeat(4_097 - right.length)}`, 'no_signature'],
    ['of another version', right.replace('v1', 'v2'), 'no_signature'],
    ['with a word in between', right.replace(',', ',x '), 'no_signature'],
    ['by a public key, as the fourth', `${'v1a,AAAA '.repeat(3)}${rightOfKeys}`, 'verified'],
    [
      'by a public key, as the fifth: each is verified over the whole body',
      `${'v1a,AAAA '.repeat(4)}${rightOfKeys}`,
      'wrong_signature',
    ],
  ])('a right signature %s', async (_, list, reason) => {
    expect(reasonOf(await sent(list))).toBe(reason);
  });
});

it('a signature of more than 4,096 characters is none', async () => {
  const verifyData = { scheme: 'hmac' as const, signed: '{body}', key };
  const inHeader = endpointOf({ verify: { ...verifyData, signature: { in: 'header:x-sig', field: 'v1' } } });
  const list = (length: number) => `v1=${hmac('{}')},`.padEnd(length, 'x');
  const sent = (length: number) => verify(inHeader, { body: '{}', headers: { 'x-sig': list(length) } });
  expect([reasonOf(await sent(4_096)), reasonOf(await sent(4_097))]).toEqual(['verified', 'no_signature']);
});
