// docs.databricks.com/aws/en/dev-tools/auth/oauth-u2m, …/oauth-m2m, …/pat; github.com/databricks/cli/issues/667
import { type CodeRow, reply, type Vendor } from '../emulator/vendor.ts';

const HOST = 'adb-1234567890123456.7.azuredatabricks.net';
const connection = { workspace_host: HOST };
const token = {
  url: `https://${HOST}/oidc/v1/token`,
  errors: {
    // Not invalid_grant.
    deadGrant: reply(400, { error: 'invalid_request', error_description: 'Refresh token is invalid' }),
    invalidClient: reply(401, { error: 'invalid_client', error_description: 'Client authentication failed' }),
  },
};
const user = {
  flow: 'code',
  mode: 'u2m',
  connection,
  tokens: { jwt: true },
  authorize: { url: `https://${HOST}/oidc/v1/authorize`, pkce: 'required' },
  lookups: [
    {
      url: `https://${HOST}/api/2.0/preview/scim/v2/Me`,
      answer: { id: '5629501437689712', userName: 'ada@example.com' },
    },
  ],
  account: { issuer: `https://${HOST}`, id: '5629501437689712', name: 'ada@example.com' },
  api: { url: `https://${HOST}/api/2.0/clusters/list` },
} satisfies Omit<CodeRow, 'token'>;

export default {
  provider: 'databricks',
  rows: [
    {
      ...user,
      scopes: ['all-apis', 'offline_access'],
      token: { ...token, clientAuth: 'basic_raw' },
      refresh: { rotation: 'same' },
    },
    {
      ...user,
      variant: 'public, single use',
      client: { configuredAs: ['client_id'] },
      scopes: ['sql', 'offline_access'],
      token: { ...token, clientAuth: 'id_only' },
      refresh: { rotation: 'single_use' },
    },
    {
      flow: 'minted',
      mode: 'm2m_service_principal',
      client: { id: '3f1a5b7c-0000-4000-8000-9d8e7f6a5b4c', configuredAs: [] },
      connection: { workspace_host: 'dbc-a1b2345c-d6e7.cloud.databricks.com' },
      scopes: ['all-apis'],
      tokens: { jwt: true },
      token: {
        url: 'https://dbc-a1b2345c-d6e7.cloud.databricks.com/oidc/v1/token',
        clientAuth: 'basic_raw',
        errors: { ...token.errors, deadGrant: token.errors.invalidClient },
      },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      api: { url: 'https://dbc-a1b2345c-d6e7.cloud.databricks.com/api/2.0/clusters/list' },
    },
    {
      flow: 'static',
      mode: 'pat',
      connection: { workspace_host: '1234567890123456.7.gcp.databricks.com' },
      credentials: { api_key: 'dapi00000000000000000000000000000000-2' },
      api: { url: 'https://1234567890123456.7.gcp.databricks.com/api/2.0/clusters/list' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['u2m'],
        url: 'https://*/api/2.0/preview/scim/v2/Me',
        answer: { id: '5629501437689712', userName: 'ada@example.com' },
        unauthorized: reply(401, { error_code: 'UNAUTHENTICATED' }),
      },
      {
        modes: ['m2m_service_principal', 'pat'],
        url: 'https://*/api/2.0/preview/scim/v2/Me',
        answer: { id: '7', userName: 'robot' },
        unauthorized: reply(401, { error_code: 'UNAUTHENTICATED' }),
        account: '7',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { error_code: 'REQUEST_LIMIT_EXCEEDED', message: 'Too many requests' },
          { 'retry-after': '18' },
        ),
        wait: 18,
      },
      { answer: reply(503, { error_code: 'TEMPORARILY_UNAVAILABLE' }), wait: 1 },
    ],
  },
} satisfies Vendor;
