// docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code, …/oauth-2-0/user-access-token,
// …/oauth-2-0/application-only, …/api-reference/invalidate-bearer-token
import { createHmac } from 'node:crypto';
import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

const row = {
  flow: 'code',
  mode: 'oauth2_code',
  scopes: ['tweet.read', 'users.read', 'offline.access'],
  lifetime: 7_200,
  authorize: { url: 'https://x.com/i/oauth2/authorize', pkce: 'required' },
  token: {
    url: 'https://api.x.com/2/oauth2/token',
    clientAuth: 'basic_raw',
    respond: ({ body }: IssuedTokens) => ({ ...body, token_type: 'bearer' }),
    errors: {
      // Not invalid_grant.
      deadGrant: reply(400, { error: 'invalid_request', error_description: 'Value passed for the token was invalid.' }),
      invalidClient: reply(401, {
        error: 'unauthorized_client',
        error_description: 'Missing valid authorization header',
      }),
      rateLimited: reply(
        429,
        { title: 'Too Many Requests', detail: 'Too Many Requests', type: 'about:blank', status: 429 },
        { 'x-rate-limit-limit': '50', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '1999999999' },
      ),
    },
  },
  refresh: { rotation: 'single_use' },
  lookups: [
    {
      url: 'https://api.x.com/2/users/me',
      answer: { data: { id: '2244994945', name: 'X Developers', username: 'XDevelopers' } },
    },
  ],
  revoke: { url: 'https://api.x.com/2/oauth2/revoke', answer: { revoked: true } },
  api: {
    url: 'https://api.x.com/2/tweets',
    unauthorized: reply(401, { title: 'Unauthorized', type: 'about:blank', status: 401, detail: 'Unauthorized' }),
  },
  account: { issuer: 'https://x.com', id: '2244994945', name: 'XDevelopers' },
  captured: { user_id: '2244994945', username: 'XDevelopers' },
} satisfies CodeRow;

export default {
  provider: 'x-twitter',
  rows: [
    row,
    {
      ...row,
      variant: 'public client',
      client: { configuredAs: ['client_id'] },
      token: { ...row.token, clientAuth: 'id_only' },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      tokens: { access: 'AAAAAAAAAAAAAAAAAAAAA%2FAAA%3D' },
      lifetime: null,
      token: {
        url: 'https://api.x.com/oauth2/token',
        clientAuth: 'basic',
        respond: ({ access }: IssuedTokens) => ({ token_type: 'bearer', access_token: access }),
        errors: {
          invalidClient: reply(403, {
            errors: [{ code: 99, message: 'Unable to verify your credentials', label: 'authenticity_token_error' }],
          }),
        },
      },
      api: { url: 'https://api.x.com/2/tweets/search/recent' },
    },
  ],
  webhooks: [
    {
      name: 'authorization revoked',
      secrets: ['consumer secret'],
      ...signedBody(
        'x-twitter-webhooks-signature',
        { prefix: 'sha256=', encoding: 'base64' },
        {
          user_event: {
            revoke: { date_time: '2026-11-28', target: { app_id: '13090192' }, source: { user_id: '63046977' } },
          },
        },
      ),
      event: { type: 'user_event.revoke', locator: 'captured.user_id=63046977', deauthorization: true },
    },
    {
      name: 'posts',
      secrets: ['consumer secret'],
      ...signedBody(
        'x-twitter-webhooks-signature',
        { prefix: 'sha256=', encoding: 'base64' },
        { for_user_id: '2244994945', tweet_create_events: [{ id_str: '1' }] },
      ),
      event: { type: 'tweet_create_events', locator: 'captured.user_id=2244994945' },
    },
    {
      name: 'challenge-response check',
      secrets: ['consumer secret'],
      send: ({ url }) => ({ method: 'GET', url: `${url}?crc_token=MTVkYmU2NTQt&nonce=1`, headers: {}, body: '' }),
      covers: [],
      handshake: {
        needsKey: true,
        body: JSON.stringify({
          response_token: `sha256=${createHmac('sha256', 'consumer secret').update('MTVkYmU2NTQt').digest('base64')}`,
        }),
      },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: 'https://api.x.com/2/users/me',
        answer: { data: { id: '2244994945', username: 'XDevelopers' } },
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { title: 'Too Many Requests' },
          { 'x-rate-limit-limit': '75', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '1795911300' },
        ),
        wait: 900,
      },
    ],
  },
} satisfies Vendor;
