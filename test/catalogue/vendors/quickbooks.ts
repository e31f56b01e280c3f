// developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0, and intuit-oauth

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

export default {
  provider: 'quickbooks',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      client: {
        id: 'ABExample00000000000000000000000000000000000000001',
        secret: 'Example0000000000000000000000000000000002',
      },
      scopes: ['com.intuit.quickbooks.accounting'],
      tokens: { access: 'eyJenc.', refresh: 'AB11' },
      authorize: {
        url: 'https://appcenter.intuit.com/connect/oauth2',
        callback: () => ({ realmId: '9341452790712345' }),
      },
      token: {
        url: 'https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer',
        clientAuth: 'basic_raw',
        respond: ({ access, refresh }: IssuedTokens) => ({
          token_type: 'bearer',
          expires_in: 3_600,
          refresh_token: refresh,
          x_refresh_token_expires_in: 8_726_400,
          access_token: access,
        }),
      },
      refresh: { rotation: 'sometimes' },
      revoke: {
        url: 'https://developer.api.intuit.com/v2/oauth2/tokens/revoke',
        clientAuth: 'basic_raw',
        body: 'json',
        params: { token: '{token}' },
        ends: 'grant',
      },
      api: { url: 'https://quickbooks.api.intuit.com/v3/company/9341452790712345/companyinfo/9341452790712345' },
      // Five years after consent, whatever is refreshed.
      expects: { reauthDueIn: 157_680_000 },
      account: { issuer: 'https://quickbooks.intuit.com', id: '9341452790712345', name: null },
      captured: { realm_id: '9341452790712345' },
    },
  ],
  webhooks: [
    {
      name: 'two CloudEvents',
      secrets: ['verifier'],
      ...signedBody(
        'intuit-signature',
        { encoding: 'base64' },
        ['c1', 'c2'].map((id) => ({
          specversion: '1.0',
          id,
          type: 'qbo.customer.created.v1',
          intuitentityid: '1',
          intuitaccountid: '310687',
        })) as unknown as object,
      ),
      event: { count: 2, id: 'c1', type: 'qbo.customer.created.v1', locator: 'captured.realm_id=310687' },
    },
    {
      name: 'older notification',
      secrets: ['verifier'],
      ...signedBody(
        'intuit-signature',
        { encoding: 'base64' },
        {
          eventNotifications: [
            {
              realmId: '1185883450',
              dataChangeEvent: {
                entities: [{ name: 'Customer', id: '1', operation: 'Create', lastUpdated: '2026-11-28T10:00:00.000Z' }],
              },
            },
          ],
        },
      ),
      event: { id: null, type: 'Customer.Create', locator: 'captured.realm_id=1185883450' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://quickbooks.api.intuit.com/v3/company/9341452790712345/companyinfo/9341452790712345?minorversion=75',
        answer: { CompanyInfo: { Id: '1' } },
      },
    ],
    limits: [
      {
        answer: reply(429, {
          Fault: { Error: [{ code: '003001', Message: 'message=ThrottleExceeded' }], type: 'ServiceFault' },
        }),
        wait: 60,
      },
    ],
  },
} satisfies Vendor;
