// linear.app/developers/oauth-2-0-authentication, …/developers/graphql, …/developers/rate-limiting

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const failed = (status: number, error: string, error_description: string) =>
  reply(status, { error, error_description });
const client = failed(400, 'invalid_client', 'Invalid client: client is invalid');
const api = {
  url: 'https://api.linear.app/graphql',
  method: 'POST',
  answer: {
    data: {
      viewer: { id: '2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9', name: 'Ada' },
      organization: { id: 'd7a2a1d5-0d4e-4d4e-9f5c-6f0c5c4a3d21' },
    },
  },
  unauthorized: reply(401, {
    errors: [
      {
        message: 'Authentication required, not authenticated',
        extensions: { type: 'authentication error', code: 'AUTHENTICATION_ERROR', userError: true },
      },
    ],
  }),
} as const;
const row = {
  flow: 'code',
  mode: 'oauth2_code',
  scopes: ['read', 'issues:create'],
  tokens: { access: 'lin_oauth_', refresh: 'lin_refresh_' },
  lifetime: 86_399,
  authorize: {
    url: 'https://linear.app/oauth/authorize',
    separator: ',',
    params: { prompt: 'consent' },
  },
  token: {
    url: 'https://api.linear.app/oauth/token',
    clientAuth: ['post', 'basic'],
    // Requested with commas, returned with spaces.
    respond: ({ body, scopes }: IssuedTokens) => ({ ...body, scope: scopes.join(' ') }),
    errors: {
      deadGrant: failed(400, 'invalid_grant', 'Invalid grant: refresh token is invalid'),
      invalidClient: client,
      rateLimited: reply(400, {
        errors: [{ message: 'Rate limit exceeded', extensions: { code: 'RATELIMITED', statusCode: 429 } }],
      }),
    },
  },
  // For half an hour the one before is taken again.
  refresh: { rotation: 'grace' },
  revoke: {
    url: 'https://api.linear.app/oauth/revoke',
    clientAuth: ['none', 'post', 'basic'],
  },
  lookups: [{ url: api.url, method: api.method, answer: api.answer }],
  api,
  captured: { organization_id: 'd7a2a1d5-0d4e-4d4e-9f5c-6f0c5c4a3d21' },
} satisfies CodeRow;

export default {
  provider: 'linear',
  rows: [
    row,
    {
      ...row,
      variant: 'public client, as the app',
      client: { configuredAs: ['client_id'] },
      params: { actor: 'app' },
      authorize: { ...row.authorize, pkce: 'required', params: { prompt: 'consent', actor: 'app' } },
      token: { ...row.token, clientAuth: 'id_only' },
      revoke: { ...row.revoke, clientAuth: ['none', 'id_only'] },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      scopes: ['read', 'write'],
      lifetime: 2_591_999,
      token: {
        url: 'https://api.linear.app/oauth/token',
        clientAuth: ['post', 'basic'],
        params: { scope: 'read,write' },
        respond: ({ access }: IssuedTokens) => ({
          access_token: access,
          token_type: 'Bearer',
          expires_in: 2_591_999,
          scope: 'read write',
        }),
        errors: { invalidClient: client },
      },
      api,
    },
    {
      flow: 'static',
      mode: 'api_key',
      credentials: { api_key: 'lin_api_0123456789abcdefghijABCDEFGHIJ0123456789' },
      // Bare: Bearer is for OAuth tokens.
      api: { ...api, tokenType: 'header:Authorization' },
    },
  ],
  webhooks: [
    {
      name: 'application revoked',
      secrets: ['lin_wh_1'],
      send({ at, hmac }) {
        const body = JSON.stringify({
          type: 'OAuthApp',
          action: 'revoked',
          organizationId: 'o1',
          oauthClientId: 'c1',
          webhookTimestamp: at.getTime(),
        });
        // The header counts for nothing.
        return json(
          {
            'linear-signature': hmac(body, 'hex'),
            'Linear-Delivery': 'd1',
            'Linear-Event': 'OAuthApp',
            'linear-timestamp': '1',
          },
          body,
        );
      },
      covers: ['body', 'key', 'algorithm', 'time', 'header:linear-signature'],
      event: { id: 'd1', type: 'OAuthApp.revoked', locator: 'captured.organization_id=o1', deauthorization: true },
    },
  ],
  calls: {
    checks: [
      {
        method: 'POST',
        url: 'https://api.linear.app/graphql',
        params: { query: '{ viewer { id organization { id } } }' },
        answer: {
          data: {
            viewer: {
              id: '2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9',
              organization: { id: 'd7a2a1d5-0d4e-4d4e-9f5c-6f0c5c4a3d21' },
            },
          },
        },
        unauthorized: reply(200, {
          errors: [{ message: 'Authentication required', extensions: { code: 'AUTHENTICATION_ERROR' } }],
        }),
        account: '2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9',
      },
    ],
    limits: [
      {
        answer: reply(
          400,
          { errors: [{ message: 'Rate limit exceeded', extensions: { code: 'RATELIMITED' } }] },
          {
            'x-ratelimit-requests-limit': '5000',
            'x-ratelimit-requests-remaining': '0',
            'x-ratelimit-requests-reset': '1795910450000',
          },
        ),
        wait: 50,
      },
    ],
  },
} satisfies Vendor;
