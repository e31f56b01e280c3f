// developers.dropbox.com/oauth-guide, dropbox.com/developers/documentation/http/documentation
import { type CodeRow, type Fresh, say, type Vendor } from '../emulator/vendor.ts';

const row = {
  flow: 'code',
  mode: 'oauth2_code',
  scopes: ['account_info.read', 'files.content.read'],
  tokens: { access: 'sl.' },
  lifetime: 14_400,
  authorize: {
    url: 'https://www.dropbox.com/oauth2/authorize',
    // Without it there is no refresh token.
    params: { token_access_type: 'offline' },
  },
  token: {
    url: 'https://api.dropboxapi.com/oauth2/token',
    client: ['post', 'basic'],
    answer: ({ body }: Fresh) => ({
      ...body,
      token_type: 'bearer',
      account_id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc',
      uid: '12345',
    }),
    troubles: {
      dead: say(400, { error: 'invalid_grant', error_description: 'refresh token is invalid or revoked' }),
      client: say(400, { error: 'invalid_client: Invalid client_id or client_secret' }),
      busy: say(
        429,
        { error_summary: 'too_many_requests/', error: { reason: { '.tag': 'too_many_requests' } } },
        { 'retry-after': '30' },
      ),
    },
  },
  refresh: {
    rotation: 'omitted',
    answer: ({ access }: Fresh) => ({ access_token: access, token_type: 'bearer', expires_in: 14_400 }),
  },
  revoke: {
    url: 'https://api.dropboxapi.com/2/auth/token/revoke',
    takes: 'Bearer',
    body: 'none',
    answer: say(200, null),
    // The refresh token behind it too.
    ends: 'grant',
  },
  api: {
    method: 'POST',
    url: 'https://api.dropboxapi.com/2/users/get_current_account',
    refusal: say(401, { error_summary: 'expired_access_token/', error: { '.tag': 'expired_access_token' } }),
  },
  captured: { account_id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc', uid: '12345' },
} satisfies CodeRow;

export default {
  provider: 'dropbox',
  rows: [
    row,
    {
      ...row,
      flavour: 'PKCE',
      client: { gives: ['client_id'] },
      authorize: { ...row.authorize, pkce: 'required' },
      token: { ...row.token, client: 'id_only' },
    },
  ],
} satisfies Vendor;
