// developer.spotify.com/documentation/web-api/tutorials/code-flow, …/tutorials/refreshing-tokens,
// …/tutorials/client-credentials-flow, …/blog/2026-06-18-refresh-token-expiration, …/concepts/rate-limits
import { type Fresh, say, type Vendor } from '../emulator/vendor.ts';

const failed = (error: string, error_description: string) => say(400, { error, error_description });
const client = failed('invalid_client', 'Invalid client secret');
const busy = say(429, { error: { status: 429, message: 'API rate limit exceeded' } }, { 'retry-after': '30' });
const url = 'https://accounts.spotify.com/api/token';
const refusal = say(401, { error: { status: 401, message: 'Invalid access token' } });

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
        client: 'basic_raw',
        troubles: { dead: failed('invalid_grant', 'Refresh token revoked'), client, busy },
      },
      refresh: { rotation: 'sometimes' },
      api: { url: 'https://api.spotify.com/v1/me', refusal },
      // Six months after consent, whatever is refreshed.
      expects: { reauthDueIn: 15_552_000 },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      tokens: { access: 'BQ' },
      token: {
        url,
        client: 'basic_raw',
        answer: ({ access }: Fresh) => ({ access_token: access, token_type: 'bearer', expires_in: 3_600 }),
        troubles: { client, busy },
      },
      api: { url: 'https://api.spotify.com/v1/search', refusal },
    },
  ],
} satisfies Vendor;
