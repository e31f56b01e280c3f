// developers.zoom.us/docs/integrations/oauth, …/docs/internal-apps/s2s-oauth, …/docs/api/rate-limits
import { type CodeRow, type Fresh, say, type Vendor } from '../emulator/vendor.ts';

const TOKEN_URL = 'https://zoom.us/oauth/token';
const client = say(400, { reason: 'Invalid client_id or client_secret', error: 'invalid_client' });
const refusal = say(401, { code: 124, message: 'Access token is expired.' });
const told =
  (api_url: string) =>
  ({ body }: Fresh) => ({ ...body, token_type: 'bearer', api_url });
const row = {
  flow: 'code',
  mode: 'oauth2_code',
  // Fixed on the app.
  granted: ['meeting:read:meeting', 'user:read:user'],
  tokens: { jwt: true, refresh: 'eyJzdiI6.' },
  lifetime: 3_599,
  authorize: { url: 'https://zoom.us/oauth/authorize' },
  token: {
    url: TOKEN_URL,
    client: 'basic_raw',
    answer: told('https://api.zoom.us'),
    troubles: {
      dead: say(400, { reason: 'Invalid Token!', error: 'invalid_grant' }),
      client,
      busy: say(429, { code: 429, message: 'You have reached the maximum per-second rate limit for this API.' }),
    },
  },
  refresh: { rotation: 'single_use' },
  // Of the access token.
  revoke: {
    url: 'https://zoom.us/oauth/revoke',
    params: { token: '{access_token}', token_type_hint: null },
    answer: { status: 'success' },
  },
  api: { url: 'https://api.zoom.us/v2/users/me', refusal },
  captured: { api_url: 'https://api.zoom.us' },
} satisfies CodeRow;

export default {
  provider: 'zoom',
  rows: [
    row,
    {
      ...row,
      flavour: 'EU',
      token: { ...row.token, answer: told('https://api-eu.zoom.us') },
      api: { ...row.api, url: 'https://api-eu.zoom.us/v2/users/me' },
      captured: { api_url: 'https://api-eu.zoom.us' },
    },
    {
      flow: 'minted',
      mode: 'server_to_server',
      client: { id: 'Uq7fZbK3RkW2mT9vXy1aLg', gives: [] },
      connection: { account_id: 'Kx3vQz7mTtWn1uLb0dYe5A' },
      granted: ['user:read:user:admin'],
      tokens: { jwt: true },
      token: {
        url: TOKEN_URL,
        client: 'basic_raw',
        params: { grant_type: 'account_credentials', account_id: 'Kx3vQz7mTtWn1uLb0dYe5A' },
        answer: told('https://api-us.zoom.us'),
        troubles: { dead: client, client },
      },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      api: { url: 'https://api-us.zoom.us/v2/users', refusal },
      captured: { api_url: 'https://api-us.zoom.us' },
    },
  ],
} satisfies Vendor;
