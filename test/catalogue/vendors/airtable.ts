// airtable.com/developers/web/api/oauth-reference, …/api/authentication, …/api/errors

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

const client = 'basic_raw';
const row = {
  flow: 'code',
  mode: 'oauth2_code',
  client: { id: '8f3c1c52-6a0e-4b1d-9f57-2f1c7a5e0b11' },
  scopes: ['data.records:read', 'schema.bases:read'],
  tokens: { access: 'oaaExample.v1.', refresh: 'oarExample.v1.' },
  authorize: { url: 'https://airtable.com/oauth2/v1/authorize', pkce: 'required' },
  token: {
    url: 'https://airtable.com/oauth2/v1/token',
    clientAuth: client,
    respond: ({ body }: IssuedTokens) => ({ ...body, refresh_expires_in: 5_184_000 }),
    errors: {
      deadGrant: reply(400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' }),
      invalidClient: reply(401, { error: 'invalid_client', error_description: 'Client authentication failed.' }),
    },
  },
  refresh: { rotation: 'single_use' },
  lookups: [
    { url: 'https://api.airtable.com/v0/meta/whoami', answer: { id: 'usrL2PNC5o3H4lBEi', email: 'foo@bar.com' } },
  ],
  account: { issuer: 'https://airtable.com', id: 'usrL2PNC5o3H4lBEi', name: 'foo@bar.com' },
  api: {
    url: 'https://api.airtable.com/v0/meta/bases',
    answer: { bases: [{ id: 'appLkNDICXNqxSDhG', name: 'Apartment Hunting', permissionLevel: 'create' }] },
    unauthorized: reply(401, { error: { type: 'AUTHENTICATION_REQUIRED', message: 'Authentication required' } }),
  },
} satisfies CodeRow;

export default {
  provider: 'airtable',
  rows: [
    row,
    {
      ...row,
      variant: 'without a secret',
      client: { ...row.client, configuredAs: ['client_id'] },
      token: { ...row.token, clientAuth: 'id_only' },
    },
    {
      flow: 'static',
      mode: 'personal_access_token',
      credentials: { api_key: `patExample0000001.${'0123456789abcdef'.repeat(4)}` },
      api: row.api,
    },
  ],
  webhooks: [
    {
      name: 'ping',
      secrets: [Buffer.from('mac secret of the webhook').toString('base64')],
      ...signedBody(
        'X-Airtable-Content-MAC',
        { prefix: 'hmac-sha256=', keyEncoding: 'base64' },
        { base: { id: 'app1' }, webhook: { id: 'ach1' }, timestamp: '2026-11-28T10:00:00.000Z' },
      ),
      event: { id: 'ach1:2026-11-28T10:00:00.000Z' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.airtable.com/v0/meta/whoami',
        answer: { id: 'usrL2PNC5o3H4lBEi' },
        unauthorized: reply(401, { error: { type: 'AUTHENTICATION_REQUIRED' } }),
        account: 'usrL2PNC5o3H4lBEi',
      },
    ],
    limits: [{ answer: reply(429, { errors: [{ error: 'RATE_LIMIT_REACHED' }] }), wait: 30 }],
  },
} satisfies Vendor;
