// zoho.com/crm/developer/docs/api/v8/oauth-overview.html, …/multi-dc.html, …/revoke-tokens.html
import { type Fresh, say, type Vendor } from '../emulator/vendor.ts';

const failed = (error: string) => say(200, { error });

export default {
  provider: 'zoho',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      // Consent begins in the US; the account turns out to be in the EU.
      imports: { location: 'eu' },
      scopes: ['ZohoCRM.modules.ALL', 'ZohoCRM.settings.READ'],
      tokens: { access: '1000.', refresh: '1000.' },
      authorize: {
        url: 'https://accounts.zoho.com/oauth/v2/auth',
        separator: ',',
        params: { access_type: 'offline', prompt: 'consent' },
        callback: () => ({ location: 'eu', 'accounts-server': 'https://accounts.zoho.eu' }),
      },
      token: {
        url: 'https://accounts.zoho.eu/oauth/v2/token',
        answer: ({ body, refresh }: Fresh) => ({
          ...body,
          refresh_token: refresh,
          api_domain: 'https://www.zohoapis.eu',
        }),
        troubles: {
          dead: failed('invalid_code'),
          client: failed('invalid_client'),
          busy: say(400, {
            error_description: 'You have made too many requests continuously. Please try again after some time.',
            error: 'Access Denied',
            status: 'failure',
          }),
        },
      },
      refresh: {
        rotation: 'omitted',
        answer: ({ access }: Fresh) => ({
          access_token: access,
          expires_in: 3_600,
          api_domain: 'https://www.zohoapis.eu',
          token_type: 'Bearer',
        }),
      },
      revoke: {
        url: 'https://accounts.zoho.eu/oauth/v2/token/revoke',
        body: 'query',
        client: 'none',
        params: { token: '{refresh_token}' },
        answer: { status: 'success' },
      },
      api: { url: 'https://www.zohoapis.eu/crm/v8/Leads', takes: 'Zoho-oauthtoken' },
      captured: { api_domain: 'https://www.zohoapis.eu' },
    },
  ],
} satisfies Vendor;
