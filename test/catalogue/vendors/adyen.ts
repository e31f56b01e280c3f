// docs.adyen.com/development-resources/oauth/integration, …/development-resources/api-authentication

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, signedBody, type VendorWebhook } from '../emulator/webhook.ts';

const KEY = '44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056';

export default {
  provider: 'adyen',
  rows: [
    {
      flow: 'static',
      mode: 'api_key',
      params: { environment: 'test', resource: 'checkout' },
      connection: { merchant_account: 'ExampleCompanyECOM' },
      credentials: { api_key: 'AQEyhmfxK4zMaRREx0m/n3Q5qf3Vb4RlGJF9QW1ZwNkEZGGF-example=-example' },
      api: { method: 'POST', url: 'https://checkout-test.adyen.com/v71/paymentMethods', tokenType: 'header:X-API-Key' },
    },
    {
      flow: 'static',
      mode: 'basic',
      params: { environment: 'live' },
      credentials: { username: 'ws_123456@Company.ExampleCompany', password: 'a:b+c%d' },
      api: { url: 'https://management-live.adyen.com/v3/me' },
    },
    {
      flow: 'code',
      mode: 'partner_oauth',
      params: { environment: 'test' },
      // All that the app was made with, or none.
      scopes: ['psp.onlinepayment:write', 'psp.accountsettings:write', 'psp.webhook:write'],
      lifetime: 86_400,
      authorize: { url: 'https://ca-test.adyen.com/ca/ca/oauth/connect.shtml', pkce: 'required' },
      token: {
        url: 'https://oauth-test.adyen.com/v1/token',
        clientAuth: 'basic_raw',
        respond: ({ body }: IssuedTokens) => ({ ...body, token_type: 'bearer' }),
        errors: {
          deadGrant: reply(400, { error: 'invalid_grant', error_description: 'The refresh token is not valid.' }),
          invalidClient: reply(401, { error: 'invalid_client' }),
        },
      },
      refresh: { rotation: 'single_use' },
      api: { url: 'https://management-test.adyen.com/v3/me' },
    },
  ],
  webhooks: [
    {
      name: 'standard payment webhook, of two items',
      secrets: [KEY],
      send: ({ hmac }) => {
        const item = (pspReference: string, value: number) => {
          const signed = `${pspReference}::ExampleCompanyECOM:order-1:${value}:EUR:AUTHORISATION:true`;
          return {
            NotificationRequestItem: {
              ...{
                pspReference,
                merchantAccountCode: 'ExampleCompanyECOM',
                merchantReference: 'order-1',
                success: 'true',
              },
              ...{
                amount: { value, currency: 'EUR' },
                eventCode: 'AUTHORISATION',
                eventDate: '2026-11-28T10:00:00+01:00',
              },
              additionalData: { hmacSignature: hmac(signed, 'base64', 'sha256', 'hex') },
            },
          };
        };
        return json(
          {},
          { live: 'false', notificationItems: [item('7914073381342284', 1_130), item('7914073381342285', 20)] },
        );
      },
      covers: ['key', 'algorithm'],
      event: {
        count: 2,
        id: '7914073381342284:AUTHORISATION:true',
        type: 'AUTHORISATION',
        locator: 'params.merchant_account=ExampleCompanyECOM',
      },
      answer: { body: '[accepted]' },
    },
    {
      name: 'platform webhook',
      secrets: [KEY],
      ...signedBody(
        'HmacSignature',
        { encoding: 'base64', keyEncoding: 'hex' },
        {
          type: 'balancePlatform.accountHolder.updated',
          timestamp: '2026-11-28T10:00:00+01:00',
          data: { balancePlatform: 'YOUR1' },
        },
      ),
      event: { type: 'balancePlatform.accountHolder.updated' },
    } satisfies VendorWebhook,
  ],
  calls: {
    checks: [
      {
        url: ['https://management-test.adyen.com/v3/me', 'https://management-live.adyen.com/v3/me'],
        answer: { id: 'S2-123456', username: 'ws_123456@Company.Example' },
        account: 'S2-123456',
      },
    ],
    limits: [{ answer: reply(429, { status: 429, errorCode: '00_429' }, { 'retry-after': '3' }), wait: 3 }],
  },
} satisfies Vendor;
