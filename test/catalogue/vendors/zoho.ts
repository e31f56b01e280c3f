// zoho.com/crm/developer/docs/api/v8/oauth-overview.html, …/multi-dc.html, …/revoke-tokens.html

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const failed = (error: string) => reply(200, { error });

export default {
  provider: 'zoho',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      // Consent begins in the US; the account is in the EU.
      importParams: { location: 'eu' },
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
        respond: ({ body, refresh }: IssuedTokens) => ({
          ...body,
          refresh_token: refresh,
          api_domain: 'https://www.zohoapis.eu',
        }),
        errors: {
          deadGrant: failed('invalid_code'),
          invalidClient: failed('invalid_client'),
          rateLimited: reply(400, {
            error_description: 'You have made too many requests continuously. Please try again after some time.',
            error: 'Access Denied',
            status: 'failure',
          }),
        },
      },
      refresh: {
        rotation: 'omitted',
        respond: ({ access }: IssuedTokens) => ({
          access_token: access,
          expires_in: 3_600,
          api_domain: 'https://www.zohoapis.eu',
          token_type: 'Bearer',
        }),
      },
      revoke: {
        url: 'https://accounts.zoho.eu/oauth/v2/token/revoke',
        body: 'query',
        clientAuth: 'none',
        params: { token: '{refresh_token}' },
        answer: { status: 'success' },
      },
      api: { url: 'https://www.zohoapis.eu/crm/v8/Leads', tokenType: 'Zoho-oauthtoken' },
      captured: { api_domain: 'https://www.zohoapis.eu' },
    },
  ],
  webhooks: [
    {
      name: 'record changed',
      secrets: ['deals.all.notif'],
      send: ({ key }) =>
        json(
          {},
          {
            server_time: 1_553_862_213_867,
            module: 'Deals',
            ids: ['3652397000001963004'],
            operation: 'insert',
            channel_id: '1000000068002',
            token: key,
          },
        ),
      covers: ['key'],
      event: { id: null, type: 'Deals.insert' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://www.zohoapis.eu/crm/v8/org',
        answer: { org: [{ zgid: '20070124434', company_name: 'Acme' }] },
        unauthorized: reply(401, { code: 'INVALID_TOKEN', status: 'error' }),
        account: '20070124434',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { code: 'TOO_MANY_REQUESTS', status: 'error' },
          { 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795910426000' },
        ),
        wait: 26,
      },
    ],
  },
} satisfies Vendor;
