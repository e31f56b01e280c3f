// developers.google.com/identity/protocols/oauth2/web-server, …/identity/openid-connect/openid-connect,
// …/identity/protocols/oauth2/resources/granular-permissions, accounts.google.com/.well-known/openid-configuration

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { channelChanges, pubSubPushes } from '../families/google.ts';

const EMAIL = 'https://www.googleapis.com/auth/userinfo.email';
const FILES = 'https://www.googleapis.com/auth/drive.metadata.readonly';
const row = {
  flow: 'code',
  mode: 'oauth2_code',
  client: { id: '812741506391-example.apps.googleusercontent.com', secret: 'GOCSPX-exampleExample0123456' },
  scopes: ['openid', 'email', FILES],
  // Spelt out, in another order.
  granted: [FILES, EMAIL, 'openid'],
  tokens: { access: 'ya29.a0Af', refresh: '1//0g' },
  lifetime: 3_599,
  authorize: {
    url: 'https://accounts.google.com/o/oauth2/v2/auth',
    params: { access_type: 'offline', prompt: 'consent', include_granted_scopes: 'true' },
    callback: ({ scopes }) => ({ scope: scopes.join(' '), authuser: '0', prompt: 'consent' }),
  },
  token: {
    url: 'https://oauth2.googleapis.com/token',
    clientAuth: ['post', 'basic'],
    errors: {
      deadGrant: reply(400, { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' }),
      invalidClient: reply(401, { error: 'invalid_client', error_description: 'Unauthorized' }),
    },
  },
  refresh: { rotation: 'omitted' },
  // Either token ends the whole grant. Who asks is not looked at.
  revoke: {
    url: 'https://oauth2.googleapis.com/revoke',
    clientAuth: ['none', 'post', 'basic'],
    answer: {},
    ends: 'grant',
  },
  api: {
    url: 'https://www.googleapis.com/drive/v3/files',
    unauthorized: reply(401, { error: { code: 401, message: 'Invalid Credentials', status: 'UNAUTHENTICATED' } }),
  },
  oidc: {
    issuer: 'https://accounts.google.com',
    metadata: {
      jwks_uri: 'https://www.googleapis.com/oauth2/v3/certs',
      userinfo_endpoint: 'https://openidconnect.googleapis.com/v1/userinfo',
      device_authorization_endpoint: 'https://oauth2.googleapis.com/device/code',
      token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
      scopes_supported: ['openid', 'email', 'profile'],
    },
    claims: { sub: '110169484474386276334', azp: '{client_id}', email: 'ada@example.com', email_verified: true },
  },
} satisfies CodeRow;

export default {
  provider: 'google',
  rows: [
    row,
    {
      ...row,
      variant: 'for a time, some unticked',
      params: { hosted_domain: 'example.com' },
      granted: [EMAIL, 'openid'],
      authorize: { ...row.authorize, params: { ...row.authorize.params, hd: 'example.com' } },
      token: {
        ...row.token,
        respond: ({ body, grant }: IssuedTokens) => ({
          ...body,
          ...(grant === 'code' && { refresh_token_expires_in: 604_799 }),
        }),
      },
      expects: { reauthDueIn: 604_799 },
    },
    { ...row, mode: 'oidc' },
  ],
  webhooks: [...pubSubPushes, ...channelChanges],
  calls: {
    checks: [
      {
        url: 'https://www.googleapis.com/oauth2/v3/userinfo',
        answer: { sub: '110169484474386276334' },
        unauthorized: reply(401, { error: { code: 401, message: 'Invalid Credentials', status: 'UNAUTHENTICATED' } }),
      },
    ],
    limits: [
      {
        answer: reply(403, {
          error: {
            code: 403,
            errors: [{ domain: 'usageLimits', reason: 'userRateLimitExceeded' }],
            message: 'Rate Limit Exceeded',
          },
        }),
        wait: 1,
      },
      { answer: reply(429, { error: { code: 429, status: 'RESOURCE_EXHAUSTED' } }, { 'retry-after': '4' }), wait: 4 },
    ],
  },
} satisfies Vendor;
