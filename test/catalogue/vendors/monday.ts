// developer.monday.com/apps/docs/oauth, …/apps/docs/migrating-to-the-new-oauth-flow, …/api-reference/docs/authentication,
// …/api-reference/docs/api-versioning
import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

const CONSENT = 'https://auth.monday.com/oauth2/authorize';
const api = {
  method: 'POST',
  url: 'https://api.monday.com/v2',
  tokenType: ['Bearer', 'header:Authorization'],
  answer: { data: { me: { id: '4012689' } }, account_id: 1_825_528 },
  unauthorized: reply(401, { errors: [{ message: 'Not Authenticated' }] }),
} as const;
const scopes = ['me:read', 'boards:read'];

export default {
  provider: 'monday',
  rows: [
    {
      flow: 'code',
      mode: 'oauth_2_1',
      params: { force_install_if_needed: 'true', api_version: '2026-10' },
      scopes,
      // Only the token itself has its expiry.
      tokens: { jwt: true },
      lifetime: 3_600,
      authorize: { url: CONSENT, pkce: 'required', params: { force_install_if_needed: 'true' } },
      token: {
        url: 'https://auth.monday.com/oauth_ms/oauth/token',
        clientAuth: ['post', 'basic_raw'],
        respond: ({ access, refresh, scopes: granted }: IssuedTokens) => ({
          access_token: access,
          token_type: 'Bearer',
          refresh_token: refresh,
          scope: granted.join(' '),
        }),
      },
      refresh: { rotation: 'single_use' },
      revoke: { url: 'https://auth.monday.com/oauth_ms/oauth/revoke' },
      api: { ...api, tokenType: [...api.tokenType], headers: { 'api-version': '2026-10' } },
    },
    {
      flow: 'code',
      mode: 'legacy',
      scopes,
      lifetime: null,
      authorize: { url: CONSENT, pkce: 'refused' },
      token: {
        url: 'https://auth.monday.com/oauth2/token',
        params: { grant_type: null },
        respond: ({ access, scopes: granted }: IssuedTokens) => ({
          access_token: access,
          token_type: 'Bearer',
          scope: granted.join(' '),
        }),
      },
      api: { ...api, tokenType: [...api.tokenType] },
    },
    {
      flow: 'static',
      mode: 'api_key',
      params: { api_version: '2026-10' },
      credentials: { api_key: 'eyJhbGciOiJIUzI1NiJ9.eyJ0aWQiOjEyMywiYWFpIjoxMSwidWlkIjo0MDEyNjg5fQ.c2lnbmVk' },
      api: { ...api, tokenType: 'header:Authorization', headers: { 'api-version': '2026-10' } },
    },
  ],
} satisfies Vendor;
