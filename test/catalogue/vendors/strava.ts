// developers.strava.com/docs/authentication, …/docs/rate-limits, …/docs/changelog
import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

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
} satisfies Vendor;
