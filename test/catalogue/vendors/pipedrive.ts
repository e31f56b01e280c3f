// pipedrive.readme.io/docs/marketplace-oauth-authorization, …/docs/app-uninstallation,
// developers.pipedrive.com/docs/api/v1/Oauth, …/v1/Users#getCurrentUser

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const failed = (status: number, error: string, message: string) => reply(status, { success: false, message, error });

export default {
  provider: 'pipedrive',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      granted: ['base', 'deals:full', 'contacts:read'],
      tokens: { access: 'v1u:53:179:', refresh: '53:179:' },
      lifetime: 3_599,
      authorize: {
        url: 'https://oauth.pipedrive.com/oauth/authorize',
        separator: null,
        params: { response_type: null },
      },
      token: {
        url: 'https://oauth.pipedrive.com/oauth/token',
        clientAuth: 'basic',
        respond: ({ body, scopes }: IssuedTokens) => ({
          ...body,
          scope: scopes.join(','),
          api_domain: 'https://acme-corp.pipedrive.com',
        }),
        errors: {
          deadGrant: failed(400, 'invalid_grant', 'Invalid grant: refresh token is invalid'),
          invalidClient: failed(401, 'invalid_client', 'Invalid client: client is invalid'),
          rateLimited: reply(
            429,
            { success: false, error: 'Rate limit exceeded', errorCode: 429 },
            { 'x-ratelimit-limit': '80', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2' },
          ),
        },
      },
      refresh: { rotation: 'same' },
      lookups: [
        {
          url: 'https://api.pipedrive.com/v1/users/me',
          answer: {
            success: true,
            data: {
              id: 179,
              name: 'John Doe',
              email: 'john@example.com',
              is_admin: 1,
              company_id: 53,
              company_name: 'Acme',
              company_domain: 'acme-corp',
            },
          },
        },
      ],
      // A refresh token uninstalls the app; an access token ends alone.
      revoke: { url: 'https://oauth.pipedrive.com/oauth/revoke' },
      api: {
        url: 'https://acme-corp.pipedrive.com/api/v2/deals',
        unauthorized: reply(401, { success: false, error: 'Invalid token: access token is invalid', errorCode: 401 }),
      },
      account: { issuer: 'https://app.pipedrive.com', id: '53/179', name: null },
      captured: { api_domain: 'https://acme-corp.pipedrive.com', user_id: 179, company_id: 53 },
    },
  ],
  webhooks: [
    {
      name: 'deal changed',
      secrets: ['ada:s3cret'],
      send: ({ key }) =>
        json(
          { Authorization: `Basic ${Buffer.from(key).toString('base64')}` },
          { meta: { id: 'm1', action: 'change', entity: 'deal', company_id: '8', user_id: '9' } },
        ),
      covers: ['key', 'header:Authorization'],
      event: { id: 'm1', type: 'change.deal', locator: 'account.id=8/9' },
    },
    {
      name: 'app uninstalled',
      clientId: 'client-1',
      clientSecret: 'client secret',
      send: ({ key }) => ({
        ...json(
          { Authorization: `Basic ${Buffer.from(`client-1:${key}`).toString('base64')}` },
          { client_id: 'client-1', company_id: 8, user_id: 9 },
        ),
        method: 'DELETE',
      }),
      covers: ['key', 'header:Authorization'],
      event: { locator: 'account.id=8/9', deauthorization: true },
    },
  ],
  calls: {
    checks: [
      {
        url: ['https://acme-corp.pipedrive.com/v1/users/me'],
        answer: { data: { id: 179, company_id: 53 } },
        unauthorized: reply(401, { success: false, error: 'unauthorized access' }),
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { success: false, error: 'request over limit' },
          { 'x-ratelimit-limit': '80', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2' },
        ),
        wait: 2,
      },
    ],
  },
} satisfies Vendor;
