// developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens, …/ticketing/oauth/oauth_tokens,
// …/documentation/api-basics/authentication/refresh-token, …/documentation/authentication,
// support.zendesk.com/hc/en-us/articles/9182123625370

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const HOST = 'https://acme.zendesk.com';
const connection = { subdomain: 'acme' };
const failed = (status: number, error: string, error_description: string) =>
  reply(status, { error, error_description });
const client = failed(
  401,
  'invalid_client',
  'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.',
);
const busy = reply(429, {
  description: 'Rate limit for the account has been exceeded.',
  error: 'APIRateLimitExceeded',
});
const api = {
  url: `${HOST}/api/v2/users/me.json`,
  answer: { user: { id: 35436, name: 'Robert Schneider', role: 'admin' } },
  unauthorized: reply(401, { error: 'invalid_token', error_description: 'The access token provided is expired.' }),
};
const rowOf = (lifetime: number, refreshLifetime: number) =>
  ({
    flow: 'code',
    mode: 'oauth2_code',
    account: { issuer: HOST, id: '35436', name: 'Robert Schneider' },
    connection,
    scopes: ['tickets:read', 'users:read'],
    lifetime,
    authorize: { url: `${HOST}/oauth/authorizations/new` },
    token: {
      url: `${HOST}/oauth/tokens`,
      respond: ({ body }: IssuedTokens) => ({
        ...body,
        token_type: 'bearer',
        refresh_token_expires_in: refreshLifetime,
      }),
      errors: {
        deadGrant: failed(
          400,
          'invalid_grant',
          'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
        ),
        invalidClient: client,
        rateLimited: busy,
      },
    },
    refresh: { rotation: 'single_use', endsAccess: true },
    // The record of the token that asks, with its refresh token.
    revoke: {
      method: 'DELETE',
      url: `${HOST}/api/v2/oauth/tokens/current.json`,
      body: 'none',
      authorizedBy: 'Bearer',
      answer: reply(204),
      ends: 'grant',
    },
    api,
  }) satisfies CodeRow;
const asked = rowOf(7_200, 7_776_000);
const lifetimes = { expires_in: '7200', refresh_token_expires_in: '7776000' };

export default {
  provider: 'zendesk',
  rows: [
    rowOf(1_800, 2_592_000),
    {
      ...asked,
      variant: 'lifetimes of our own',
      params: { access_token_lifetime: '7200', refresh_token_lifetime: '7776000' },
      token: { ...asked.token, params: lifetimes },
      refresh: { ...asked.refresh, params: lifetimes },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      client: { configuredAs: [] },
      connection,
      scopes: ['read'],
      lifetime: 1_800,
      token: {
        url: `${HOST}/oauth/tokens`,
        respond: ({ access }: IssuedTokens) => ({
          access_token: access,
          token_type: 'bearer',
          scope: 'read',
          expires_in: 1_800,
        }),
        errors: { deadGrant: client, invalidClient: client, rateLimited: busy },
      },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      api,
    },
    {
      flow: 'static',
      mode: 'api_token',
      connection,
      credentials: { email: 'ada@example.com', api_token: '6wiIBWbGkBMo1mRDMuVwkw1EPsNkeUj95PIz2akv' },
      served: Buffer.from('ada@example.com/token:6wiIBWbGkBMo1mRDMuVwkw1EPsNkeUj95PIz2akv').toString('base64'),
      api: { ...api, tokenType: 'Basic' },
    },
  ],
  webhooks: [
    {
      name: 'event',
      secrets: ['dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=='],
      send({ at, hmac }) {
        const body = JSON.stringify({ id: '1', type: 'zen:event-type:user.active_changed' });
        return json(
          {
            'X-Zendesk-Webhook-Signature': hmac(at.toISOString() + body, 'base64'),
            'X-Zendesk-Webhook-Signature-Timestamp': at.toISOString(),
            'X-Zendesk-Webhook-Invocation-Id': 'i1',
          },
          body,
        );
      },
      covers: [
        'body',
        'key',
        'algorithm',
        'time',
        'header:X-Zendesk-Webhook-Signature',
        'header:X-Zendesk-Webhook-Signature-Timestamp',
      ],
      event: { id: 'i1', type: 'zen:event-type:user.active_changed' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://*/api/v2/users/me.json',
        answer: { user: { id: 35436, name: 'Robert Schneider' } },
        unauthorized: reply(200, { user: { id: null, name: 'Anonymous user' } }),
        account: '35436',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { error: 'APIRateLimitExceeded' },
          { 'retry-after': '13', 'x-rate-limit': '700', 'x-rate-limit-remaining': '0', 'ratelimit-reset': '13' },
        ),
        wait: 13,
      },
    ],
  },
} satisfies Vendor;
