// Public test vectors of vendors, each at the time that it is of, and senders that others have written.
import { sign as signBody } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../../../src/catalogue/load.ts';
import type { WebhookKeys } from '../../../src/ports/webhook-verifier.ts';
import { providersOf } from '../../support/entries.ts';
import { createEngine, type Given, keysOf, NOW, reasonOf, requestOf } from './engine.ts';

const providers = providersOf(loadCatalogue([]));
const engine = createEngine();
const verify = (provider: string, given: Given, keys: Partial<WebhookKeys>) =>
  engine.verify(providers.get(provider)!.webhooks, requestOf(given), keysOf(keys));
const secondsAt = (seconds: string) => Number(seconds) * 1_000;

const FORM = 'application/x-www-form-urlencoded';
const form = (fields: [string, string][], url: string, signature: string): Given => ({
  url,
  headers: { 'content-type': FORM, 'x-twilio-signature': signature },
  body: new URLSearchParams(fields).toString(),
});
const call: [string, string][] = [
  ['CallSid', 'CA1234567890ABCDE'],
  ['Caller', '+14158675309'],
  ['Digits', '1234'],
  ['From', '+14158675309'],
  ['To', '+18005551212'],
];
const MY_COMPANY = 'https://mycompany.com/myapp.php?foo=1&bar=2';
const HUB_SECRET = { clientSecret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy' };
const HUB_URL = 'https://www.example.com/webhook_uri';
const hub = (version: string, signature: string) => ({
  'x-hubspot-signature-version': version,
  'x-hubspot-signature': signature,
});
const COMMAND =
  'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
const item = (value: number, fields: Record<string, string>, hmacSignature: string) =>
  JSON.stringify({
    notificationItems: [
      { NotificationRequestItem: { ...fields, amount: { value, currency: 'EUR' }, additionalData: { hmacSignature } } },
    ],
  });
const standard = (signature: string): Given => ({
  receivedAt: secondsAt('1614265330'),
  headers: {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': signature,
  },
  body: '{"test": 2432232314}',
});

describe('public vector', () => {
  it.each<[string, string, Given, Partial<WebhookKeys>]>([
    [
      'a slash command',
      'slack',
      {
        receivedAt: secondsAt('1531420618'),
        headers: {
          'content-type': FORM,
          'x-slack-request-timestamp': '1531420618',
          'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
        },
        body: COMMAND,
      },
      { secrets: ['8f742231b10e8888abcd99yyyzzz85a5'] },
    ],
    [
      'text that is not JSON',
      'github',
      {
        headers: {
          'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
        },
        body: 'Hello, World!',
      },
      { secrets: ["It's a Secret to Everybody"] },
    ],
    [
      'the same algorithm under another name',
      'bitbucket',
      {
        headers: { 'x-hub-signature': 'sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3' },
        body: '{"foo":"bar"}',
      },
      { secrets: ['mysecret'] },
    ],
    ['a form', 'twilio', form(call, MY_COMPANY, 'RSOYDt4T1cUTdK1PDd93/VVr8B8='), { secrets: ['12345'] }],
    [
      'a form, signed with the default port',
      'twilio',
      form(call, MY_COMPANY, 'kvajT1Ptam85bY51eRf/AJRuM3w='),
      { secrets: ['12345'] },
    ],
    [
      'a form with a repeated field',
      'twilio',
      form(
        [
          ['Sid', 'CA123'],
          ['SidAccount', 'AC123'],
          ['Digits', '5678'],
          ['Digits', '1234'],
          ['Digits', '1234'],
        ],
        MY_COMPANY,
        'IK+Dwps556ElfBT0I3Rgjkr1wJU=',
      ),
      { secrets: ['12345'] },
    ],
    [
      'JSON, by the digest in the URL',
      'twilio',
      {
        url: `${MY_COMPANY}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620`,
        headers: { 'content-type': 'application/json', 'x-twilio-signature': 'a9nBmqA0ju/hNViExpshrM61xv4=' },
        body: '{"property": "value", "boolean": true}',
      },
      { secrets: ['12345'] },
    ],
    [
      'version 1',
      'hubspot',
      {
        headers: hub('v1', '232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de'),
        body: '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]',
      },
      HUB_SECRET,
    ],
    [
      'version 2',
      'hubspot',
      {
        url: HUB_URL,
        headers: hub('v2', '9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900'),
        body: '{"example_field":"example_value"}',
      },
      HUB_SECRET,
    ],
    [
      'version 2, by GET',
      'hubspot',
      {
        method: 'GET',
        url: HUB_URL,
        headers: hub('v2', 'eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e'),
      },
      HUB_SECRET,
    ],
    [
      'a batch that ends with nothing',
      'sendgrid',
      {
        receivedAt: secondsAt('1588788367'),
        headers: {
          'x-twilio-email-event-webhook-timestamp': '1588788367',
          'x-twilio-email-event-webhook-signature':
            'MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0=',
        },
        body: '{"category":"example_payload","event":"test_event","message_id":"message_id"}',
      },
      {
        secrets: [
          'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==',
        ],
      },
    ],
    [
      'a notification with all fields',
      'adyen',
      {
        body: item(
          1_000,
          {
            pspReference: 'pspReference',
            originalReference: 'originalReference',
            merchantAccountCode: 'merchantAccount',
            merchantReference: 'reference',
            eventCode: 'CAPTURE',
            success: 'true',
          },
          'xhpHvYq2u2Np0rstbZ6QjLGu7JWhvf7Iwaa6EviJSX0=',
        ),
      },
      { secrets: ['DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00'] },
    ],
    [
      'a notification without an original reference',
      'adyen',
      {
        body: item(
          1_130,
          {
            pspReference: '7914073381342284',
            merchantAccountCode: 'TestMerchant',
            merchantReference: 'TestPayment-1407325143704',
            eventCode: 'AUTHORISATION',
            success: 'true',
          },
          'coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=',
        ),
      },
      { secrets: ['44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056'] },
    ],
    [
      'a signed request',
      'facebook',
      {
        headers: { 'content-type': FORM },
        body: 'signed_request=vlXgu64BQGFSQrY0ZcJBZASMvYvTHu9GQ0YM9rjPSso.eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsIjAiOiJwYXlsb2FkIn0',
      },
      { clientSecret: 'secret' },
    ],
    [
      'v1',
      'generic-oidc',
      standard('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='),
      { secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] },
    ],
    [
      'v1a',
      'generic-oidc',
      standard('v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=='),
      { secrets: ['whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4='] },
    ],
  ])('%s of %s: verified, and refused with another body', async (_, provider, given, keys) => {
    expect(reasonOf(await verify(provider, given, keys))).toBe('verified');
    const body = given.headers?.['content-type'] === FORM ? `${given.body}&more=1` : `${given.body} `;
    const changed = await verify(provider, { ...given, body: given.method === 'GET' ? 'x' : body }, keys);
    // What is signed in the body, alone or item by item, does not cover what is around it.
    if (provider !== 'adyen' && provider !== 'facebook') expect(changed.kind).toBe('refused');
    if (given.receivedAt !== undefined)
      expect(reasonOf(await verify(provider, { ...given, receivedAt: NOW }, keys))).toBe('stale');
  });

  // The library's vector has seconds, where the vendor documents a time in RFC 3339.
  it('a time that is signed in front of the body', async () => {
    const { events } = structuredClone(providers.get('zendesk')!.webhooks);
    if (events?.verify.scheme !== 'hmac') throw new Error('it is an HMAC');
    events.verify.timestamp!.unit = 's';
    const given = {
      receivedAt: secondsAt('1531420618'),
      headers: {
        'x-zendesk-webhook-signature': 'qtmu3iClLKujnujOBkwe7yjI34o5CzsLD04Uy4LbE2A=',
        'x-zendesk-webhook-signature-timestamp': '1531420618',
      },
      body: '{"event_type": "foo.bar","data": {"key": "value"}}',
    };
    const keys = keysOf({ secrets: ['dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=='] });
    expect(reasonOf(await engine.verify({ events }, requestOf(given), keys))).toBe('verified');
  });
});

describe('independent sender', () => {
  it('standardwebhooks: verified, also during a rotation, and refused with another secret', async () => {
    const secret = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
    const at = new Date(NOW);
    const body = JSON.stringify({ type: 'user.created', data: { name: 'Zoë' } });
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(NOW / 1_000),
      'webhook-signature': new Webhook(secret).sign('msg_1', at, body),
    };
    const other = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    expect(reasonOf(await verify('generic-oauth2', { headers, body }, { secrets: [other, secret] }))).toBe('verified');
    expect(reasonOf(await verify('generic-oauth2', { headers, body }, { secrets: [other] }))).toBe('wrong_signature');
  });

  it('@octokit/webhooks-methods: verified, and refused with another secret', async () => {
    const body = JSON.stringify({ action: 'revoked', sender: { id: 1, login: 'Zoë' } });
    const headers = { 'x-hub-signature-256': await signBody('a secret', body) };
    expect(reasonOf(await verify('github', { headers, body }, { secrets: ['a secret'] }))).toBe('verified');
    expect(reasonOf(await verify('github', { headers, body }, { secrets: ['another'] }))).toBe('wrong_signature');
  });
});
