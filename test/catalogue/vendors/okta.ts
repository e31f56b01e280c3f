// developer.okta.com/docs/reference/api/oidc, …/docs/guides/refresh-tokens, …/docs/guides/implement-oauth-for-okta-serviceapp,
// …/docs/reference/rl-best-practices, …/docs/guides/create-an-api-token

import { type CodeRow, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const DOMAIN = 'acme.okta.com';
const ORG = `https://${DOMAIN}/oauth2/v1`;
const errors = {
  deadGrant: reply(400, { error: 'invalid_grant', error_description: 'The refresh token is invalid or expired.' }),
  invalidClient: reply(401, { error: 'invalid_client', error_description: 'The client secret supplied is invalid.' }),
  rateLimited: reply(
    429,
    {
      errorCode: 'E0000047',
      errorSummary: 'API call exceeded rate limit due to too many requests.',
      errorLink: 'E0000047',
      errorId: 'oaeExample',
      errorCauses: [],
    },
    { 'x-rate-limit-limit': '0', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '1999999999' },
  ),
};
const refusal = reply(401, { errorCode: 'E0000011', errorSummary: 'Invalid token provided', errorCauses: [] });
const METHODS = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'];

/** `server`: where its endpoints are. */
const row = (issuer: string, server: string) =>
  ({
    flow: 'code',
    mode: 'oidc',
    params: { domain: DOMAIN },
    tokens: { jwt: true },
    authorize: { url: `${server}/authorize`, params: { prompt: null } },
    token: { url: `${server}/token`, clientAuth: ['basic', 'post'], errors },
    refresh: { rotation: 'same' },
    revoke: { url: `${server}/revoke` },
    oidc: {
      issuer,
      metadata: {
        jwks_uri: `${server}/keys`,
        userinfo_endpoint: `${server}/userinfo`,
        introspection_endpoint: `${server}/introspect`,
        token_endpoint_auth_methods_supported: METHODS,
        scopes_supported: ['openid', 'profile', 'email', 'address', 'phone', 'offline_access', 'device_sso'],
        request_parameter_supported: true,
        dpop_signing_alg_values_supported: ['RS256', 'ES256'],
      },
      claims: { sub: '00uid4BxXw6I6TV4m0g3', ver: 1, amr: ['pwd'], idp: '00ok1u7AsAkrwdZL3z0g3' },
    },
  }) satisfies Partial<CodeRow>;

const custom = row(`https://${DOMAIN}/oauth2/default`, `https://${DOMAIN}/oauth2/default/v1`);
/** One's own API: Okta's is not for tokens of a custom server. */
const own = { url: 'https://api.acme.example/orders', outsideApiBase: true };

export default {
  provider: 'okta',
  rows: [
    { ...custom, scopes: ['openid', 'offline_access', 'profile'], api: own },
    {
      ...custom,
      variant: 'rotation',
      scopes: ['openid', 'offline_access'],
      refresh: { rotation: 'grace' },
      api: own,
    },
    {
      ...row(`https://${DOMAIN}/oauth2/aus1a2b3c4D5e6F7g8h9`, `https://${DOMAIN}/oauth2/aus1a2b3c4D5e6F7g8h9/v1`),
      variant: 'private key',
      params: { domain: DOMAIN, authz_server: 'aus1a2b3c4D5e6F7g8h9' },
      client: { configuredAs: ['client_id', 'private_key', 'key_id'] },
      scopes: ['openid', 'offline_access'],
      token: {
        url: `https://${DOMAIN}/oauth2/aus1a2b3c4D5e6F7g8h9/v1/token`,
        clientAuth: 'private_key_jwt',
        clientAssertion: {
          header: { kid: '{key_id}' },
        },
        errors,
      },
      // Each endpoint wants to be the audience itself.
      revoke: {
        url: `https://${DOMAIN}/oauth2/aus1a2b3c4D5e6F7g8h9/v1/revoke`,
        clientAssertion: { header: { kid: '{key_id}' } },
      },
      api: own,
    },
    {
      ...row(`https://${DOMAIN}`, ORG),
      mode: 'org_server',
      scopes: ['openid', 'offline_access', 'okta.users.read.self'],
      api: { url: `https://${DOMAIN}/api/v1/users/me`, unauthorized: refusal },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      params: { domain: DOMAIN },
      client: { configuredAs: ['client_id', 'private_key', 'key_id'] },
      scopes: ['okta.users.read', 'okta.groups.read'],
      tokens: { jwt: true },
      token: {
        url: `${ORG}/token`,
        clientAuth: 'private_key_jwt',
        clientAssertion: { header: { kid: '{key_id}' } },
        errors: { rateLimited: errors.rateLimited },
      },
      api: { url: `https://${DOMAIN}/api/v1/users`, unauthorized: refusal },
    },
    {
      flow: 'minted',
      mode: 'customer_client',
      client: { id: '0oa1a2b3c4D5e6F7g8h9', configuredAs: [], key: 'ES256' },
      connection: { domain: 'customer.oktapreview.com' },
      scopes: ['okta.users.read'],
      tokens: { jwt: true },
      token: {
        url: 'https://customer.oktapreview.com/oauth2/v1/token',
        clientAuth: 'private_key_jwt',
        clientAssertion: { alg: 'ES256', header: { kid: '{key_id}' } },
        errors: {
          deadGrant: reply(401, {
            error: 'invalid_client',
            error_description: 'The client_assertion signature is invalid.',
          }),
          rateLimited: errors.rateLimited,
        },
      },
      credentials: ({ clientId, privateKey, keyId }) => ({
        client_id: clientId,
        private_key: privateKey,
        key_id: keyId,
      }),
      api: { url: 'https://customer.oktapreview.com/api/v1/users', unauthorized: refusal },
    },
    {
      flow: 'static',
      mode: 'api_key',
      connection: { domain: DOMAIN },
      credentials: { api_key: '00QCjAl4MlV-WPXM-ABCDEFGHIJKL-abcdefghijkl' },
      api: { url: `https://${DOMAIN}/api/v1/users`, tokenType: 'SSWS', unauthorized: refusal },
    },
  ],
  webhooks: [
    {
      name: 'user deactivated',
      secrets: ['t0ken-of-our-own'],
      send: ({ key }) =>
        json(
          { 'X-Webhook-Token': key },
          {
            eventId: 'd1',
            source: 'https://acme.okta.com/api/v1/eventHooks/who1',
            data: {
              events: [{ uuid: 'u1', eventType: 'user.lifecycle.deactivate', target: [{ id: '00u1', type: 'User' }] }],
            },
          },
        ),
      covers: ['key', 'header:X-Webhook-Token'],
      event: { id: 'u1', type: 'user.lifecycle.deactivate', locator: 'account.id=00u1', deauthorization: true },
    },
    {
      name: 'token of another client revoked',
      secrets: ['t0ken-of-our-own'],
      send: ({ key }) =>
        json(
          { 'X-Webhook-Token': key },
          {
            data: {
              events: [
                { uuid: 'u2', eventType: 'app.oauth2.token.revoke', target: [{ id: '00u1' }, { id: '0oa-other' }] },
              ],
            },
          },
        ),
      covers: ['key'],
      event: { deauthorization: false },
    },
    {
      name: 'verification',
      send: () => ({ method: 'GET', headers: { 'X-Okta-Verification-Challenge': 'abc_DEF-1' }, body: '' }),
      covers: [],
      handshake: { body: '{"verification":"abc_DEF-1"}' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oidc'],
        url: [
          'https://acme.okta.com/oauth2/default/v1/userinfo',
          'https://acme.okta.com/oauth2/aus1a2b3c4D5e6F7g8h9/v1/userinfo',
        ],
        answer: { sub: '00uid4BxXw6I6TV4m0g3' },
      },
      {
        modes: ['org_server'],
        url: 'https://acme.okta.com/api/v1/users/me',
        answer: { id: '00uid4BxXw6I6TV4m0g3' },
        unauthorized: reply(401, { errorCode: 'E0000011', errorSummary: 'Invalid token provided' }),
      },
      {
        modes: ['api_key'],
        url: 'https://acme.okta.com/api/v1/users/me',
        answer: { id: '00uid4BxXw6I6TV4m0g3' },
        unauthorized: reply(401, { errorCode: 'E0000011', errorSummary: 'Invalid token provided' }),
        account: '00uid4BxXw6I6TV4m0g3',
      },
      {
        modes: ['oauth2_client_credentials', 'customer_client'],
        url: ['https://acme.okta.com/api/v1/org', 'https://customer.oktapreview.com/api/v1/org'],
        answer: { id: '00o3qqiw0vSCIwu8I0g7' },
        unauthorized: reply(401, { errorCode: 'E0000011', errorSummary: 'Invalid token provided' }),
        account: '00o3qqiw0vSCIwu8I0g7',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { errorCode: 'E0000047' },
          { 'x-rate-limit-limit': '600', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '1795910420' },
        ),
        wait: 20,
      },
      {
        answer: reply(
          429,
          { errorCode: 'E0000047' },
          { 'x-rate-limit-limit': '0', 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '1795910420' },
        ),
        wait: 1,
      },
    ],
  },
} satisfies Vendor;
