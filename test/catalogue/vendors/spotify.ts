// developer.spotify.com/documentation/web-api/tutorials/code-flow, …/tutorials/refreshing-tokens,
// …/tutorials/client-credentials-flow, …/blog/2026-06-18-refresh-token-expiration, …/concepts/rate-limits
import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

const failed = (error: string, error_description: string) => reply(400, { error, error_description });
const client = failed('invalid_client', 'Invalid client secret');
const busy = reply(429, { error: { status: 429, message: 'API rate limit exceeded' } }, { 'retry-after': '30' });
const url = 'https://accounts.spotify.com/api/token';
const refusal = reply(401, { error: { status: 401, message: 'Invalid access token' } });

export default {
  provider: 'spotify',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      params: { show_dialog: 'true' },
      scopes: ['user-read-private', 'user-read-email'],
      tokens: { access: 'BQ', refresh: 'AQ' },
      authorize: { url: 'https://accounts.spotify.com/authorize', params: { show_dialog: 'true' } },
      token: {
        url,
        clientAuth: 'basic_raw',
        errors: {
          deadGrant: failed('invalid_grant', 'Refresh token revoked'),
          invalidClient: client,
          rateLimited: busy,
        },
      },
      refresh: { rotation: 'sometimes' },
      account: { issuer: 'https://api.spotify.com', id: 'smedjan', name: 'JM' },
      api: {
        url: 'https://api.spotify.com/v1/me',
        answer: { id: 'smedjan', display_name: 'JM' },
        unauthorized: refusal,
      },
      // Six months after consent, whatever is refreshed.
      expects: { reauthDueIn: 15_552_000 },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      tokens: { access: 'BQ' },
      token: {
        url,
        clientAuth: 'basic_raw',
        respond: ({ access }: IssuedTokens) => ({ access_token: access, token_type: 'bearer', expires_in: 3_600 }),
        errors: { invalidClient: client, rateLimited: busy },
      },
      api: { url: 'https://api.spotify.com/v1/search', unauthorized: refusal },
    },
  ],
  calls: {
    checks: [
      { modes: ['oauth2_code'], url: 'https://api.spotify.com/v1/me', answer: { id: 'smedjan', display_name: 'JM' } },
      { modes: ['oauth2_client_credentials'], url: 'https://api.spotify.com/v1/markets', answer: { markets: [] } },
    ],
    limits: [
      {
        answer: reply(429, { error: { status: 429, message: 'API rate limit exceeded' } }, { 'retry-after': '20' }),
        wait: 20,
      },
    ],
  },
} satisfies Vendor;
