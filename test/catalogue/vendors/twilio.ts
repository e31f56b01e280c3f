// twilio.com/docs/iam/oauth-apps, …/iam/api-keys, …/usage/requests-to-twilio
import { createHash } from 'node:crypto';
import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { form, type VendorWebhook } from '../emulator/webhook.ts';

const ACCOUNT = 'AC00000000000000000000000000000001';
const api = { url: `https://api.twilio.com/2010-04-01/Accounts/${ACCOUNT}.json` };
const token = {
  url: 'https://oauth.twilio.com/v2/token',
  answer: ({ access }: IssuedTokens) => ({
    access_token: access,
    token_type: 'Bearer',
    expires_in: 3_600,
    id_token: null,
    refresh_token: null,
  }),
};

const concatenated = (fields: Record<string, string>) =>
  Object.keys(fields)
    .sort()
    .map((name) => name + fields[name])
    .join('');
const called =
  (
    fields: Record<string, string>,
    hash: 'sha1' | 'sha256',
    headers: Record<string, string> = {},
    port = '',
  ): VendorWebhook['send'] =>
  ({ url, hmac }) =>
    form(
      {
        'X-Twilio-Signature': hmac(url.replace('.example/', `.example${port}/`) + concatenated(fields), 'base64', hash),
        'I-Twilio-Idempotency-Token': 'idem-1',
        ...headers,
      },
      fields,
    );
const status = { MessageSid: 'SM1', MessageStatus: 'delivered', AccountSid: 'AC1' };
const settings = { 'X-Twilio-Webhooks-Signature-Settings': 'key=SK1,algorithm=HMAC_SHA256' };

export default {
  provider: 'twilio',
  rows: [
    {
      flow: 'static',
      mode: 'basic',
      connection: { account_sid: ACCOUNT },
      credentials: { username: 'SK00000000000000000000000000000002', password: 'not:a-real+secret' },
      api,
    },
    { flow: 'minted', mode: 'oauth2_client_credentials', token, api },
    {
      flow: 'minted',
      mode: 'customer_client',
      client: { id: 'OQexample0123456789', configuredAs: [] },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      token,
      api,
    },
    {
      flow: 'code',
      mode: 'organization_oauth_app',
      scopes: ['offline_access'],
      authorize: { url: 'https://oauth.twilio.com/v2/authorize' },
      token: { url: token.url },
      refresh: { rotation: 'sometimes' },
      revoke: { url: 'https://oauth.twilio.com/v2/revoke' },
      api,
    },
  ],
  webhooks: [
    {
      name: 'status callback',
      secrets: ['12345'],
      send: called(status, 'sha1'),
      covers: ['body', 'url', 'key', 'algorithm', 'header:X-Twilio-Signature'],
      event: { id: 'idem-1', type: 'delivered', locator: 'params.account_sid=AC1' },
      answer: { body: '<Response/>' },
    },
    {
      name: 'status callback, signed with the default port',
      secrets: ['12345'],
      send: called(status, 'sha1', {}, ':443'),
      covers: ['body', 'url', 'key', 'algorithm'],
    },
    {
      name: 'status callback, signed with a shared key',
      secrets: ['shared-key-secret'],
      send: called(status, 'sha256', settings),
      covers: [
        'body',
        'url',
        'key',
        'algorithm',
        'header:X-Twilio-Signature',
        'header:X-Twilio-Webhooks-Signature-Settings',
      ],
      event: { id: 'idem-1' },
    },
    {
      name: 'Connect App deauthorized',
      secrets: ['12345'],
      send: called({ AccountSid: 'AC2', ConnectAppSid: 'CN1' }, 'sha1'),
      event: { locator: 'params.account_sid=AC2', deauthorization: true },
    },
    {
      name: 'JSON body',
      secrets: ['12345'],
      send({ url, hmac }) {
        const body = '{"property": "value", "boolean": true, "n": 1}';
        const whole = `${url}?bodySHA256=${createHash('sha256').update(body).digest('hex')}`;
        return {
          url: whole,
          headers: { 'Content-Type': 'application/json', 'X-Twilio-Signature': hmac(whole, 'base64', 'sha1') },
          body,
        };
      },
      covers: ['body', 'url', 'key', 'algorithm', 'header:X-Twilio-Signature'],
    },
  ],
  calls: {
    checks: [
      {
        modes: ['basic'],
        url: 'https://api.twilio.com/2010-04-01/Accounts/{account_sid}.json',
        answer: { sid: 'AC00000000000000000000000000000001', status: 'active' },
        unauthorized: reply(401, { code: 20003, message: 'Authenticate', status: 401 }),
        account: 'AC00000000000000000000000000000001',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { code: 20429, message: 'Too Many Requests', status: 429 },
          { 'twilio-concurrent-requests': '100' },
        ),
        wait: 1,
      },
    ],
  },
} satisfies Vendor;
