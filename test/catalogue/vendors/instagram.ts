// developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { metaWebhooks } from '../families/meta.ts';

const DAY = 86_400;
const graphError = (code: number, message: string, status = 400) =>
  reply(status, { error: { message, type: 'OAuthException', code, fbtrace_id: 'AbC' } });
const errors = {
  deadGrant: graphError(190, 'Error validating access token: The session is invalid.'),
  invalidClient: graphError(101, 'Missing client_id parameter.'),
  rateLimited: graphError(4, 'Application request limit reached', 403),
};
const longLived = ({ access }: IssuedTokens) => ({ access_token: access, token_type: 'bearer', expires_in: 60 * DAY });

export default {
  provider: 'instagram',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      scopes: ['instagram_business_basic', 'instagram_business_manage_messages'],
      tokens: { access: 'IGAA' },
      authorize: { url: 'https://www.instagram.com/oauth/authorize', separator: ',' },
      token: {
        url: 'https://api.instagram.com/oauth/access_token',
        respond: ({ access, scopes }: IssuedTokens) => ({
          data: [{ access_token: access, user_id: '1020', permissions: scopes.join(',') }],
        }),
        errors: {
          invalidClient: reply(400, { error_type: 'OAuthException', code: 400, error_message: 'Invalid platform app' }),
        },
      },
      exchange: {
        method: 'GET',
        url: 'https://graph.instagram.com/access_token',
        clientAuth: 'none',
        params: { grant_type: 'ig_exchange_token', client_secret: '{client_secret}', access_token: '{access_token}' },
        lifetime: 60 * DAY,
        respond: longLived,
        errors,
      },
      refresh: {
        method: 'GET',
        url: 'https://graph.instagram.com/refresh_access_token',
        spends: 'access_token',
        rotation: 'grace',
        clientAuth: 'none',
        params: { grant_type: 'ig_refresh_token', access_token: '{access_token}' },
        minAge: DAY,
        respond: longLived,
        errors,
      },
      lookups: [
        {
          url: 'https://graph.instagram.com/me?fields=user_id,username',
          tokenType: ['Bearer', 'query:access_token'],
          answer: { user_id: '1020', username: 'acme' },
        },
      ],
      api: { url: 'https://graph.instagram.com/v24.0/me', tokenType: ['Bearer', 'query:access_token'] },
      account: { issuer: 'https://www.instagram.com', id: '1020', name: 'acme' },
      captured: { user_id: '1020', username: 'acme' },
    },
  ],
  webhooks: metaWebhooks('instagram'),
  calls: {
    checks: [
      {
        url: 'https://graph.instagram.com/me?fields=user_id',
        answer: { user_id: '1020' },
        unauthorized: reply(400, {
          error: { message: 'Error validating access token', type: 'OAuthException', code: 190 },
        }),
      },
    ],
    limits: [{ answer: reply(403, { error: { message: 'Application request limit reached', code: 4 } }), wait: 300 }],
  },
} satisfies Vendor;
