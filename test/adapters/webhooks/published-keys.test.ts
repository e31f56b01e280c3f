// Senders whose keys are published: tokens and messages that others have signed, or that are for others.
import { createHmac, createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import { json, published, rs256, rsa, type Sending, sendingOf } from '../../catalogue/emulator/webhook.ts';
import aws from '../../catalogue/vendors/aws.ts';
import { providersOf } from '../../support/entries.ts';
import { createEngine, keysOf, NOW, reasonOf, requestOf, URL_CALLED } from './engine.ts';

const providers = providersOf(loadCatalogue([]));
const fetchPublished = async (url: string) => ({
  status: published.has(url) ? 200 : 404,
  text: async () => published.get(url) ?? '',
});
const EMAIL = 'push@project.iam.gserviceaccount.com';
const claims = { iss: 'https://accounts.google.com', aud: URL_CALLED, email: EMAIL, email_verified: true };
const sending = (key = rsa.own): Sending => sendingOf(URL_CALLED, new Date(NOW), key);

function push(token: string, fetch: typeof fetchPublished = fetchPublished, secrets = [EMAIL]) {
  const sent = json({ Authorization: `Bearer ${token}` }, { message: { messageId: '1' } });
  const { webhooks } = providers.get('gcp-service-account')!;
  return createEngine({ fetch }).verify(webhooks, requestOf(sent), keysOf({ secrets }));
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token', () => {
  it('of the configured service account: verified', async () => {
    expect(reasonOf(await push(rs256(sending(), claims)))).toBe('verified');
  });

  it.each<[string, object]>([
    ['of another service account', { email: 'push@other.iam.gserviceaccount.com' }],
    ['whose email is not verified', { email_verified: false }],
    ['for another URL', { aud: 'https://other.example/' }],
    ['of another issuer', { iss: 'https://issuer.example' }],
  ])('%s: refused', async (_, other) => {
    expect(reasonOf(await push(rs256(sending(), { ...claims, ...other })))).toBe('requirement');
  });

  it.each<[string, object]>([
    ['that has expired', { exp: NOW / 1_000 - 120 }],
    ['that never expires', { exp: undefined }],
  ])('%s: refused', async (_, other) => {
    expect(reasonOf(await push(rs256(sending(), { ...claims, ...other })))).toBe('wrong_signature');
  });

  it('signed with nothing, or with the public key as a secret: refused', async () => {
    const exp = NOW / 1_000 + 60;
    const none = `${encode({ alg: 'none' })}.${encode({ ...claims, exp })}.`;
    expect(reasonOf(await push(none))).toBe('no_signature');
    const publicKey = createPublicKey(rsa.own).export({ type: 'spki', format: 'pem' });
    const text = `${encode({ alg: 'HS256', kid: 'k1' })}.${encode({ ...claims, exp })}`;
    const forged = `${text}.${createHmac('sha256', publicKey).update(text).digest('base64url')}`;
    expect(reasonOf(await push(forged))).toBe('wrong_signature');
    expect(reasonOf(await push(forged, fetchPublished, [EMAIL, String(publicKey)]))).toBe('wrong_signature');
  });

  it('whose keys cannot be fetched: refused, and says so to us', async () => {
    const down = () => Promise.reject(new Error('down'));
    expect(reasonOf(await push(rs256(sending(), claims), down))).toBe('keys_unavailable');
  });

  it('without a configured account: refused', async () => {
    expect(reasonOf(await push(rs256(sending(), claims), fetchPublished, []))).toBe('no_key');
  });
});

describe('a message of a topic', () => {
  const [notification] = aws.webhooks;
  const confirmation = aws.webhooks.find(({ name }) => name === 'subscription confirmation')!;
  const take = (
    change: (message: Record<string, string>) => object,
    row = notification!,
    secrets = row.secrets,
    fetch = fetchPublished,
  ) => {
    const sent = row.send(sending());
    const body = JSON.stringify(change(JSON.parse(sent.body)));
    return createEngine({ fetch }).verify(
      providers.get('aws')!.webhooks,
      requestOf({ ...sent, body }),
      keysOf({ secrets }),
    );
  };

  it('of another customer: refused, however well it is signed', async () => {
    expect(reasonOf(await take((message) => message))).toBe('verified');
    expect(reasonOf(await take((message) => message, notification, ['arn:aws:sns:eu-west-1:999:x']))).toBe(
      'requirement',
    );
  });

  it.each(['Message', 'MessageId', 'Subject', 'Type'])('with another %s: refused', async (name) => {
    expect(reasonOf(await take((message) => ({ ...message, [name]: `${message[name]}x` })))).toBe('wrong_signature');
  });

  it.each([
    'http://sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com.attacker.example/x.pem',
    'https://attacker.example/sns.eu-west-1.amazonaws.com/x.pem',
    'https://sns.eu-west-1.amazonaws.com@attacker.example/x.pem',
    'not a URL',
  ])('with its certificate at %s: refused, and nothing is fetched', async (SigningCertURL) => {
    const fetched: string[] = [];
    const fetch = (url: string) => {
      fetched.push(url);
      return fetchPublished(url);
    };
    expect(
      reasonOf(await take((message) => ({ ...message, SigningCertURL }), notification, notification!.secrets, fetch)),
    ).toBe('certificate');
    expect(fetched).toEqual([]);
  });

  it('that confirms a subscription: confirmed once it is verified, and only at the host', async () => {
    const fetched: string[] = [];
    const fetch = (url: string) => {
      fetched.push(new URL(url).search);
      return fetchPublished(url);
    };
    const confirm = (change: (message: Record<string, string>) => object) =>
      take(change, confirmation, confirmation.secrets, fetch);
    expect(reasonOf(await confirm((message) => ({ ...message, SubscribeURL: 'https://attacker.example/' })))).toBe(
      'wrong_signature',
    );
    expect(fetched.filter((search) => search !== '')).toEqual([]);
    expect(reasonOf(await confirm((message) => message))).toBe('handshake');
    expect(fetched.filter((search) => search !== '')).toEqual(['?Action=ConfirmSubscription&Token=t1']);
  });
});
