// developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0, and intuit-oauth
import type { IssuedTokens, Vendor } from '../emulator/vendor.ts';

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
} satisfies Vendor;
