// verifyWebhook: what the broker signs is accepted, and nothing else. The signer is the broker's own, and node:crypto.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import {
  newEndpointSecret,
  presentPublicKey,
  presentSecret,
  signatureHeaders,
} from '../../src/broker/events/signing/standard-webhooks.ts';
import { ValetkeyError, verifyWebhook } from '../../src/client/index.ts';

const AT = Date.UTC(2026, 2, 2, 9, 30, 0);
const body = JSON.stringify({
  type: 'connection.needs_reauth',
  timestamp: new Date(AT - 5_000).toISOString(),
  data: { event_id: 'msg_1', connection: { owner: 'üser_42' }, sequence: 3 },
});
const secret = newEndpointSecret();
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const whsec = presentSecret(secret);
const whpk = presentPublicKey(publicKey.export({ format: 'jwk' }) as { x: string });
const headers = signatureHeaders({ id: 'msg_1', at: AT, body, secrets: [secret], keys: [privateKey] });
const now = () => AT;

const refusal = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ValetkeyError);
  const { code, reason } = error as ValetkeyError;
  expect(code).toBe('invalid_webhook');
  return reason;
};

describe('verifyWebhook', () => {
  test('accepts either kind of signature, and returns the event', async () => {
    for (const key of [whsec, whpk]) {
      const event = await verifyWebhook(headers, body, key, { now });
      expect(event).toEqual({ ...JSON.parse(body), id: 'msg_1', sentAt: new Date(AT) });
    }
  });

  test('accepts headers and bodies in every form that servers have them', async () => {
    const upper = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]));
    const bytes = Buffer.from(body);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    for (const given of [headers, upper, new Headers(headers)])
      for (const sent of [body, bytes, new Uint8Array(bytes), buffer as ArrayBuffer])
        expect((await verifyWebhook(given, sent, whsec, { now })).type).toBe('connection.needs_reauth');
  });

  test('accepts any of several secrets, and any of several signatures', async () => {
    const other = presentSecret(newEndpointSecret());
    await verifyWebhook(headers, body, [other, whsec], { now });
    const signatures = `v1,${randomBytes(32).toString('base64')} v2,abc v1a,!! ${headers['webhook-signature']}`;
    await verifyWebhook({ ...headers, 'webhook-signature': signatures }, body, [whsec], { now });
    expect(await refusal(verifyWebhook(headers, body, other, { now }))).toBe('signature');
  });

  test('refuses what is changed: body, id, time, signature, kind', async () => {
    const [v1 = '', v1a = ''] = headers['webhook-signature'].split(' ');
    const changed = (change: object, sent = body) =>
      refusal(verifyWebhook({ ...headers, ...change }, sent, [whsec, whpk], { now }));
    expect(await changed({}, `${body} `)).toBe('signature');
    expect(await changed({ 'webhook-id': 'msg_2' })).toBe('signature');
    expect(await changed({ 'webhook-timestamp': String(AT / 1_000 + 1) })).toBe('signature');
    expect(await changed({ 'webhook-signature': v1.replace('v1,', 'v1a,') })).toBe('signature');
    expect(await changed({ 'webhook-signature': v1a.replace('v1a,', 'v1,') })).toBe('signature');
    for (const signature of ['v1,', 'v1', ',', 'v1,====', `v1,${v1.slice(3, 20)}`, 'v1a,AAAA'])
      expect(await changed({ 'webhook-signature': signature })).toBe('signature');
  });

  test('refuses missing and repeated headers', async () => {
    for (const name of Object.keys(headers)) {
      expect(await refusal(verifyWebhook({ ...headers, [name]: undefined }, body, whsec, { now }))).toBe('headers');
      expect(await refusal(verifyWebhook({ ...headers, [name]: ['a', 'b'] }, body, whsec, { now }))).toBe('headers');
      expect(await refusal(verifyWebhook({ ...headers, [name]: '' }, body, whsec, { now }))).toBe('headers');
    }
  });

  test('refuses times out of the tolerance, both ways', async () => {
    const at = (ms: number, tolerance?: number) =>
      verifyWebhook(headers, body, whsec, { now: () => AT + ms, ...(tolerance !== undefined && { tolerance }) });
    await at(300_000);
    await at(-300_000);
    expect(await refusal(at(301_000))).toBe('timestamp');
    expect(await refusal(at(-301_000))).toBe('timestamp');
    expect(await refusal(at(11_000, 10))).toBe('timestamp');
    for (const timestamp of ['', 'now', '-1', '1e9', '0x10', `${AT / 1_000}.5`, '99999999999999999'])
      expect(
        await refusal(verifyWebhook({ ...headers, 'webhook-timestamp': timestamp }, body, whsec, { now })),
      ).toMatch(/timestamp|headers/);
  });

  test('refuses to work without a secret, or with one that is none', async () => {
    for (const secrets of [[], '', 'whsec_', 'whsec_!', 'whpk_AAAA', [whsec, '']])
      expect(await refusal(verifyWebhook(headers, body, secrets, { now }))).toBe('secret');
  });

  test('refuses a body that was parsed already, or is signed and no event', async () => {
    expect(await refusal(verifyWebhook(headers, JSON.parse(body), whsec, { now }))).toBe('body');
    for (const text of ['null', '1', '{}', 'no'])
      expect(
        await refusal(
          verifyWebhook(
            signatureHeaders({ id: 'msg_1', at: AT, body: text, secrets: [secret], keys: [] }),
            text,
            whsec,
            { now },
          ),
        ),
      ).toBe('body');
  });
});

describe('the broker signs as Standard Webhooks says', () => {
  const receiver = new Webhook(whsec);

  test('so that an independent receiver accepts it, and refuses what was changed', () => {
    const current = signatureHeaders({ id: 'msg_1', at: Date.now(), body, secrets: [secret], keys: [privateKey] });
    expect(receiver.verify(body, current)).toEqual(JSON.parse(body));
    expect(() => receiver.verify(`${body} `, current)).toThrow();
    expect(() => new Webhook(presentSecret(newEndpointSecret())).verify(body, current)).toThrow();
  });

  test('and the client accepts what an independent sender signs', async () => {
    const signature = receiver.sign('msg_1', new Date(AT), body);
    await verifyWebhook({ ...headers, 'webhook-signature': signature }, body, whsec, { now });
  });

  test('with both secrets while one is rotated, each accepted by its receiver', () => {
    const old = newEndpointSecret();
    const both = signatureHeaders({ id: 'msg_1', at: Date.now(), body, secrets: [secret, old], keys: [] });
    for (const one of [secret, old]) new Webhook(presentSecret(one)).verify(body, both);
  });

  test('with secrets of 24 to 64 bytes, and a public key of 32', () => {
    const bytes = Buffer.from(newEndpointSecret(), 'base64').length;
    expect(bytes).toBeGreaterThanOrEqual(24);
    expect(bytes).toBeLessThanOrEqual(64);
    expect(Buffer.from(whpk.slice('whpk_'.length), 'base64')).toHaveLength(32);
  });
});
