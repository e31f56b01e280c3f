// keycloak.org/securing-apps/oidc-layers, …/docs/latest/server_admin: offline access, client credentials, timeouts;
// …/docs/latest/upgrading: /auth is no longer there, audience of signed JWTs
import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

const METHODS = [
  'private_key_jwt',
  'client_secret_basic',
  'client_secret_post',
  'tls_client_auth',
  'client_secret_jwt',
];

function row(server: string, realm = 'acme') {
  const issuer = `${server}/realms/${realm}`;
  const endpoints = `${issuer}/protocol/openid-connect`;
  return {
    flow: 'code',
    mode: 'oidc',
    scopes: ['openid', 'offline_access'],
    granted: ['openid', 'email', 'offline_access', 'profile'],
    tokens: { jwt: true },
    lifetime: 300,
    authorize: {
      url: `${endpoints}/auth`,
      params: { prompt: null },
      // RFC 9207.
      callback: () => ({ session_state: 'f1a7e4b0-example', iss: issuer }),
      verifiedParams: ['iss'],
    },
    token: {
      url: `${endpoints}/token`,
      clientAuth: ['basic', 'post'],
      respond: ({ body }: IssuedTokens) => ({
        ...body,
        // Offline tokens have no end that is known beforehand.
        refresh_expires_in: 0,
        'not-before-policy': 0,
        session_state: 'f1a7e4b0-example',
      }),
      errors: {
        deadGrant: reply(400, { error: 'invalid_grant', error_description: 'Offline user session not found' }),
        invalidClient: reply(401, {
          error: 'unauthorized_client',
          error_description: 'Invalid client or Invalid client credentials',
        }),
      },
    },
    // A new one each time; the old one goes on unless the realm revokes it.
    refresh: { rotation: 'grace' },
    revoke: { url: `${endpoints}/revoke`, ends: 'grant' },
    oidc: {
      issuer,
      metadata: {
        jwks_uri: `${endpoints}/certs`,
        userinfo_endpoint: `${endpoints}/userinfo`,
        introspection_endpoint: `${endpoints}/token/introspect`,
        end_session_endpoint: `${endpoints}/logout`,
        pushed_authorization_request_endpoint: `${endpoints}/ext/par/request`,
        require_pushed_authorization_requests: false,
        token_endpoint_auth_methods_supported: METHODS,
        scopes_supported: ['openid', 'offline_access', 'profile', 'email', 'address', 'phone', 'roles'],
        authorization_response_iss_parameter_supported: true,
        backchannel_logout_supported: true,
        code_challenge_methods_supported: ['plain', 'S256'],
      },
      claims: { sub: 'f1a7e4b0-33a4-4a4b-a2ee-c4d8a4b0a6a6', typ: 'ID', azp: '{client_id}', acr: '1' },
    },
    api: { url: `${server}/admin/realms/${realm}/users`, unauthorized: reply(401, { error: 'HTTP 401 Unauthorized' }) },
  } satisfies CodeRow;
}

const params = { host: 'id.example.com', realm: 'acme' };
const root = row('https://id.example.com');

export default {
  provider: 'keycloak',
  rows: [
    { ...root, params },
    { ...root, params, variant: 'revokes refresh tokens', refresh: { rotation: 'single_use' } },
    {
      ...root,
      variant: 'not offline',
      params,
      scopes: ['openid'],
      granted: ['openid', 'email', 'profile'],
      token: {
        ...root.token,
        respond: ({ body }: IssuedTokens) => ({ ...body, refresh_expires_in: 1_800, 'not-before-policy': 0 }),
        errors: { deadGrant: reply(400, { error: 'invalid_grant', error_description: 'Token is not active' }) },
      },
    },
    {
      ...root,
      variant: 'with a private key',
      params,
      client: { configuredAs: ['client_id', 'private_key'] },
      token: {
        ...root.token,
        clientAuth: 'private_key_jwt',
        clientAssertion: {
          header: { kid: null },
          claims: { aud: /^https:\/\/id\.example\.com\/realms\/acme(\/protocol\/openid-connect\/token)?$/ },
        },
      },
    },
    {
      ...root,
      variant: 'public client',
      params,
      client: { configuredAs: ['client_id'] },
      authorize: { ...root.authorize, pkce: 'required' },
      token: { ...root.token, clientAuth: 'id_only' },
    },
    {
      ...row('https://sso.example.org:8443/auth', 'my-realm'),
      variant: 'before version 17',
      params: { host: 'sso.example.org:8443', realm: 'my-realm', base_path: '/auth' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://**/realms/*/protocol/openid-connect/userinfo',
        answer: { sub: 'f1a7e4b0-33a4-4a4b-a2ee-c4d8a4b0a6a6' },
        unauthorized: reply(401, { error: 'invalid_token' }),
      },
    ],
    limits: [{ answer: reply(429, '', { 'retry-after': '4' }), wait: 4 }],
  },
} satisfies Vendor;
