// docs.gitlab.com/api/oauth2, …/integration/openid_connect_provider, …/api/rest/authentication

import { type CodeRow, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';
import { doorkeeper } from '../families/doorkeeper.ts';
import { standardWebhook } from '../families/standard-webhooks.ts';

const row = (host: string) => {
  const { token, ...rest } = doorkeeper(host);
  return {
    ...rest,
    scopes: ['read_user', 'api'],
    token: {
      ...token,
      errors: { ...token.errors, rateLimited: reply(429, 'Retry later\n', { 'retry-after': '30' }) },
    },
    refresh: { rotation: 'single_use', endsAccess: true, params: { redirect_uri: '{redirect_uri}' } },
    account: { issuer: `https://${host}`, id: '1', name: 'john_smith' },
    api: {
      url: `https://${host}/api/v4/user`,
      answer: { id: 1, username: 'john_smith' },
      unauthorized: reply(401, { message: '401 Unauthorized' }),
    },
  } satisfies CodeRow;
};

export default {
  provider: 'gitlab',
  rows: [
    row('gitlab.com'),
    {
      ...row('gitlab.example.com:8443'),
      variant: 'self-managed, without a secret',
      params: { host: 'gitlab.example.com:8443' },
      client: { configuredAs: ['client_id'] },
      authorize: { url: 'https://gitlab.example.com:8443/oauth/authorize', pkce: 'required' },
      token: { ...row('gitlab.example.com:8443').token, clientAuth: 'id_only' },
    },
    {
      ...row('gitlab.com'),
      mode: 'oidc',
      account: undefined,
      scopes: ['openid', 'read_user'],
      oidc: {
        issuer: 'https://gitlab.com',
        metadata: {
          jwks_uri: 'https://gitlab.com/oauth/discovery/keys',
          userinfo_endpoint: 'https://gitlab.com/oauth/userinfo',
          introspection_endpoint: 'https://gitlab.com/oauth/introspect',
          claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'sub_legacy', 'name', 'nickname'],
        },
        claims: { sub: '9090', sub_legacy: '0123456789abcdef', auth_time: 1_700_000_000 },
      },
    },
    {
      flow: 'static',
      mode: 'access_token',
      params: { host: 'gitlab.example.com' },
      credentials: { api_key: 'glpat-EXAMPLE0_example.01.0123abcd' },
      api: { url: 'https://gitlab.example.com/api/v4/projects', tokenType: ['header:PRIVATE-TOKEN', 'Bearer'] },
    },
  ],
  webhooks: [
    standardWebhook('signing token', 'push'),
    {
      name: 'secret token',
      secrets: ['s3cret'],
      send: ({ key }) =>
        json(
          { 'X-Gitlab-Token': key, 'X-Gitlab-Event': 'Push Hook', 'Idempotency-Key': 'i1' },
          { object_kind: 'push' },
        ),
      covers: ['key', 'header:X-Gitlab-Token'],
      event: { id: 'i1', type: 'push' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: [
          'https://gitlab.example.com:8443/api/v4/user',
          'https://gitlab.example.com/api/v4/user',
          'https://gitlab.com/api/v4/user',
        ],
        answer: { id: 1, username: 'john_smith' },
      },
      {
        modes: ['oidc'],
        url: ['https://gitlab.com/api/v4/user', 'https://gitlab.example.com/api/v4/user'],
        answer: { id: 9090 },
      },
      {
        modes: ['access_token'],
        url: 'https://gitlab.example.com/api/v4/user',
        tokenType: ['header:PRIVATE-TOKEN', 'Bearer'],
        answer: { id: 1 },
        account: '1',
      },
    ],
    limits: [
      {
        answer: reply(429, 'Retry later\n', {
          'retry-after': '30',
          'ratelimit-limit': '60',
          'ratelimit-remaining': '0',
          'ratelimit-reset': '1795910430',
        }),
        wait: 30,
      },
    ],
  },
} satisfies Vendor;
