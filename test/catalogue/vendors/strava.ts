// developers.strava.com/docs/authentication, …/docs/rate-limits, …/docs/changelog

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const failed = (resource: string, field: string, code: string, status = 400, message = 'Bad Request') =>
  reply(status, { message, errors: [{ resource, field, code }] });

export default {
  provider: 'strava',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      client: { id: '116065' },
      scopes: ['read', 'activity:read_all'],
      // The athlete deselected one scope; only the callback has the granted ones.
      granted: ['read'],
      lifetime: 21_600,
      authorize: {
        url: 'https://www.strava.com/oauth/authorize',
        separator: ',',
        params: { approval_prompt: /^(auto|force)$/ },
        callback: ({ scopes }) => ({ scope: scopes.join(',') }),
      },
      token: {
        url: 'https://www.strava.com/api/v3/oauth/token',
        params: { redirect_uri: null },
        respond: ({ access, refresh, expiresAt, grant }: IssuedTokens) => ({
          token_type: 'Bearer',
          expires_at: Math.floor(expiresAt!.getTime() / 1_000),
          expires_in: 21_600,
          refresh_token: refresh,
          access_token: access,
          ...(grant === 'code' && { athlete: { id: 227_615, username: 'marianne_t', resource_state: 2 } }),
        }),
        errors: {
          deadGrant: failed('RefreshToken', 'refresh_token', 'invalid'),
          invalidClient: failed('Application', 'client_secret', 'invalid'),
          // The same resource as for a wrong client.
          rateLimited: failed('Application', 'overall rate limit', 'exceeded', 429, 'Rate Limit Exceeded'),
        },
      },
      refresh: { rotation: 'sometimes' },
      // Since June 2026; what was there before ends in June 2027.
      revoke: { url: 'https://www.strava.com/oauth/revoke', clientAuth: 'basic' },
      api: {
        url: 'https://www.strava.com/api/v3/athlete',
        unauthorized: failed('Athlete', 'access_token', 'invalid', 401, 'Authorization Error'),
      },
      account: { issuer: 'https://www.strava.com', id: '227615', name: null },
      captured: { athlete_id: 227_615 },
    },
  ],
  webhooks: [
    {
      name: 'athlete deauthorized',
      hook: true,
      secrets: ['verify-token'],
      send: () =>
        json(
          {},
          {
            aspect_type: 'update',
            event_time: 1_516_126_040,
            object_id: 134815,
            object_type: 'athlete',
            owner_id: 134815,
            subscription_id: 120475,
            updates: { authorized: 'false' },
          },
        ),
      covers: [],
      event: {
        id: 'athlete:134815:update:1516126040',
        type: 'athlete.update',
        locator: 'captured.athlete_id=134815',
        deauthorization: true,
      },
      isAuthenticated: false,
    },
    {
      name: 'subscription',
      secrets: ['verify-token'],
      send: ({ url, key }) => ({
        method: 'GET',
        url: `${url}?hub.verify_token=${key}&hub.challenge=15f7d1a91c1f40f8a748fd134752feb3&hub.mode=subscribe`,
        headers: {},
        body: '',
      }),
      covers: ['key'],
      handshake: { body: '{"hub.challenge":"15f7d1a91c1f40f8a748fd134752feb3"}' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://www.strava.com/api/v3/athlete',
        answer: { id: 227615 },
        unauthorized: reply(401, { message: 'Authorization Error' }),
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { message: 'Rate Limit Exceeded' },
          { 'x-ratelimit-limit': '200,2000', 'x-ratelimit-usage': '201,900' },
        ),
        wait: 900,
      },
    ],
  },
} satisfies Vendor;
