// auth0.com/docs/api/authentication: authorization code flow, refresh token, revoke refresh token, client credentials;
// auth0.com/docs/secure/tokens/refresh-tokens, …/get-started/…/authenticate-with-private-key-jwt

import { type CodeRow, type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const DOMAIN = 'acme.eu.auth0.com';
const AUDIENCE = `https://${DOMAIN}/api/v2/`;
const url = `https://${DOMAIN}/oauth/token`;
const errors = {
  deadGrant: reply(403, { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' }),
  invalidClient: reply(401, { error: 'access_denied', error_description: 'Unauthorized' }),
  rateLimited: reply(
    429,
    { error: 'too_many_requests', error_description: 'Global limit has been reached' },
    { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1999999999' },
  ),
};
const api = {
  url: `https://${DOMAIN}/api/v2/users/auth0%7C507f1f77bcf86cd799439020`,
  unauthorized: reply(401, {
    statusCode: 401,
    error: 'Unauthorized',
    message: 'Invalid token',
    attributes: { error: '' },
  }),
};
/** The tenant is the audience, whichever the endpoint; no assertion may live longer than five minutes. */
const clientAssertion = { header: { kid: null }, claims: { aud: `https://${DOMAIN}/` }, maxLifetime: 300 };

const row = {
  flow: 'code',
  mode: 'oidc',
  params: { domain: DOMAIN, audience: AUDIENCE },
  scopes: ['openid', 'offline_access', 'read:current_user'],
  tokens: { jwt: true, refresh: 'v1.' },
  lifetime: 86_400,
  authorize: { url: `https://${DOMAIN}/authorize`, params: { audience: AUDIENCE, prompt: null } },
  token: { url, clientAuth: ['post', 'basic'], errors },
  // Without rotation it is said once.
  refresh: { rotation: 'omitted' },
  // Access tokens cannot be revoked.
  revoke: { url: `https://${DOMAIN}/oauth/revoke`, keepsAccess: true },
  api,
  oidc: {
    issuer: `https://${DOMAIN}/`,
    metadata: {
      jwks_uri: `https://${DOMAIN}/.well-known/jwks.json`,
      userinfo_endpoint: `https://${DOMAIN}/userinfo`,
      device_authorization_endpoint: `https://${DOMAIN}/oauth/device/code`,
      scopes_supported: ['openid', 'profile', 'offline_access', 'name', 'email', 'created_at', 'identities'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      claims_supported: ['aud', 'email', 'exp', 'iat', 'iss', 'name', 'sub'],
    },
    claims: { sub: 'auth0|507f1f77bcf86cd799439020', sid: '4Qkq8bYt-example' },
  },
} satisfies CodeRow;

const machine = {
  flow: 'minted',
  mode: 'oauth2_client_credentials',
  params: { domain: DOMAIN, audience: AUDIENCE },
  granted: ['read:users', 'update:users'],
  tokens: { jwt: true },
  lifetime: 86_400,
  token: {
    url,
    params: { audience: AUDIENCE },
    errors: { invalidClient: errors.invalidClient, rateLimited: errors.rateLimited },
  },
  api,
} satisfies MintedRow;

export default {
  provider: 'auth0',
  rows: [
    row,
    {
      ...row,
      variant: 'rotation in an organization',
      params: { ...row.params, organization: 'org_9Xk2mQ7' },
      authorize: { ...row.authorize, params: { ...row.authorize.params, organization: 'org_9Xk2mQ7' } },
      refresh: { rotation: 'single_use' },
    },
    {
      ...row,
      variant: 'opaque, with a private key',
      params: { domain: DOMAIN },
      client: { configuredAs: ['client_id', 'private_key'] },
      scopes: ['openid', 'offline_access'],
      tokens: { refresh: 'v1.' },
      authorize: { ...row.authorize, params: { prompt: null } },
      token: { url, clientAuth: 'private_key_jwt', clientAssertion, errors },
      api: { url: `https://${DOMAIN}/userinfo`, outsideApiBase: true },
    },
    machine,
    {
      ...machine,
      variant: 'with a private key',
      client: { configuredAs: ['client_id', 'private_key'] },
      token: { ...machine.token, clientAuth: 'private_key_jwt', clientAssertion },
    },
  ],
  webhooks: [
    {
      name: 'log stream',
      secrets: ['t0ken-of-our-own'],
      send: ({ key }) =>
        json({ 'X-Webhook-Token': key }, [{ log_id: 'l1', data: { type: 'sapi', user_id: 'auth0|1' } }]),
      covers: ['key', 'header:X-Webhook-Token'],
      event: { id: 'l1', type: 'sapi', locator: 'account.id=auth0|1' },
    },

    {
      name: 'log stream with its Authorization header',
      secrets: ['Bearer t0ken'],
      send: ({ key }) => json({ Authorization: key }, [{ log_id: 'l1', data: { type: 'sapi' } }]),
      covers: ['key', 'header:Authorization'],
      event: { id: 'l1' },
    },
  ],
  calls: {
    checks: [
      { modes: ['oidc'], url: 'https://*/userinfo', answer: { sub: 'auth0|507f1f77bcf86cd799439020' } },
      { modes: ['oauth2_client_credentials'], url: 'https://*/api/v2/stats/active-users', answer: 7 },
    ],
    limits: [
      {
        answer: reply(
          429,
          { statusCode: 429, errorCode: 'too_many_requests' },
          { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795910401' },
        ),
        wait: 1,
      },
    ],
  },
} satisfies Vendor;
