// docs.adyen.com/development-resources/oauth/integration, …/development-resources/api-authentication
import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

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
} satisfies Vendor;
