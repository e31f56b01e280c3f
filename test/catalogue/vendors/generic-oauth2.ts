// rfc-editor.org/rfc/rfc6749, …/rfc7009, …/rfc7636
import { type CodeRow, type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { standardWebhook } from '../families/standard-webhooks.ts';

const row = {
  flow: 'code',
  mode: 'oauth2_code',
  params: {
    authorization_url: 'https://id.example.com/oauth/authorize',
    token_url: 'https://id.example.com:8443/oauth/token',
  },
  scopes: ['read', 'write'],
  authorize: { url: 'https://id.example.com/oauth/authorize', pkce: 'required' },
  token: { url: 'https://id.example.com:8443/oauth/token', clientAuth: 'basic' },
  refresh: { rotation: 'single_use' },
  api: { url: 'https://api.example.com/orders', outsideApiBase: true },
} satisfies CodeRow;

export default {
  provider: 'generic-oauth2',
  rows: [
    {
      ...row,
      params: { ...row.params, revocation_url: 'https://id.example.com/oauth/revoke' },
      revoke: { url: 'https://id.example.com/oauth/revoke' },
    },
    { ...row, variant: 'without revocation', refresh: { rotation: 'omitted' } },
    {
      ...row,
      variant: 'post, no PKCE, commas, parameters',
      params: {
        ...row.params,
        client_auth: 'client_secret_post',
        pkce: 'none',
        scope_separator: 'comma',
        audience: 'https://api.example.com/',
        prompt: 'consent',
        access_type: 'offline',
        resource: 'https://api.example.com/orders',
        authorization_params: 'claims=%7B%22userinfo%22%3A%7B%7D%7D&theme=dark',
        token_params: 'tenant=acme%26co',
      },
      authorize: {
        ...row.authorize,
        pkce: 'refused',
        separator: ',',
        params: {
          audience: 'https://api.example.com/',
          prompt: 'consent',
          access_type: 'offline',
          resource: 'https://api.example.com/orders',
          claims: '{"userinfo":{}}',
          theme: 'dark',
        },
      },
      token: {
        url: row.token.url,
        clientAuth: 'post',
        params: { tenant: 'acme&co', resource: 'https://api.example.com/orders' },
      },
      refresh: {
        rotation: 'single_use',
        params: { tenant: 'acme&co', resource: 'https://api.example.com/orders' },
      },
    },
    {
      ...row,
      variant: 'raw Basic, other answers',
      client: { id: 'cli+ent', secret: 'a+b%25c/d e~!' },
      params: {
        ...row.params,
        client_auth: 'client_secret_basic_raw',
        expires: 'in=data.ttl&otherwise=60',
        errors: 'grant_dead=session_gone',
      },
      token: {
        ...row.token,
        clientAuth: 'basic_raw',
        respond: ({ body: { expires_in, ...body } }) => ({ ...body, data: { ttl: expires_in } }),
        errors: { deadGrant: reply(400, { error: 'session gone' }) },
      },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      params: { token_url: row.token.url, audience: 'https://api.example.com/', scope_separator: ',' },
      scopes: ['read', 'write'],
      token: {
        url: row.token.url,
        clientAuth: 'basic',
        params: { audience: 'https://api.example.com/', scope: 'read,write' },
      },
      api: row.api,
    } satisfies MintedRow,
  ],
  webhooks: [standardWebhook('Standard Webhooks', 'user.created')],
  calls: {
    checks: [],
    limits: [{ answer: reply(429, '', { 'retry-after': '4' }), wait: 4 }],
  },
} satisfies Vendor;
