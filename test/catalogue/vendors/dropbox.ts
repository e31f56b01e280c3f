// developers.dropbox.com/oauth-guide, dropbox.com/developers/documentation/http/documentation

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

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
    clientAuth: ['post', 'basic'],
    respond: ({ body }: IssuedTokens) => ({
      ...body,
      token_type: 'bearer',
      account_id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc',
      uid: '12345',
    }),
    errors: {
      deadGrant: reply(400, { error: 'invalid_grant', error_description: 'refresh token is invalid or revoked' }),
      invalidClient: reply(400, { error: 'invalid_client: Invalid client_id or client_secret' }),
      rateLimited: reply(
        429,
        { error_summary: 'too_many_requests/', error: { reason: { '.tag': 'too_many_requests' } } },
        { 'retry-after': '30' },
      ),
    },
  },
  refresh: {
    rotation: 'omitted',
    respond: ({ access }: IssuedTokens) => ({ access_token: access, token_type: 'bearer', expires_in: 14_400 }),
  },
  revoke: {
    url: 'https://api.dropboxapi.com/2/auth/token/revoke',
    authorizedBy: 'Bearer',
    body: 'none',
    answer: reply(200, null),
    // The refresh token behind it too.
    ends: 'grant',
  },
  api: {
    method: 'POST',
    url: 'https://api.dropboxapi.com/2/users/get_current_account',
    unauthorized: reply(401, { error_summary: 'expired_access_token/', error: { '.tag': 'expired_access_token' } }),
  },
  account: { issuer: 'https://www.dropbox.com', id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc', name: null },
  captured: { account_id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc', uid: '12345' },
} satisfies CodeRow;

export default {
  provider: 'dropbox',
  rows: [
    row,
    {
      ...row,
      variant: 'PKCE',
      client: { configuredAs: ['client_id'] },
      authorize: { ...row.authorize, pkce: 'required' },
      token: { ...row.token, clientAuth: 'id_only' },
    },
  ],
  webhooks: [
    {
      name: 'two accounts changed',
      clientSecret: 'app secret',
      ...signedBody(
        'X-Dropbox-Signature',
        {},
        { list_folder: { accounts: ['dbid:AAH4f99T0taONIb', 'dbid:BBH4f99T0taONI2'] } },
      ),
      event: { count: 2, id: null, locator: 'captured.account_id=dbid:AAH4f99T0taONIb' },
    },
    {
      name: 'challenge',
      clientSecret: 'app secret',
      send: ({ url }) => ({ method: 'GET', url: `${url}?challenge=abc-1_2`, headers: {}, body: '' }),
      covers: [],
      handshake: { body: 'abc-1_2', header: ['x-content-type-options', 'nosniff'] },
    },
  ],
  calls: {
    checks: [
      {
        method: 'POST',
        url: 'https://api.dropboxapi.com/2/check/user',
        params: { query: 'valetkey' },
        answer: { result: 'valetkey' },
        unauthorized: reply(401, { error_summary: 'expired_access_token/', error: { '.tag': 'expired_access_token' } }),
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { error_summary: 'too_many_requests/', error: { reason: { '.tag': 'too_many_requests' }, retry_after: 300 } },
          { 'retry-after': '15' },
        ),
        wait: 15,
      },
    ],
  },
} satisfies Vendor;
