// docs.snowflake.com/en/user-guide/oauth-custom, …/user-guide/single-use-refresh-tokens,
// …/developer-guide/sql-api/authenticating, …/user-guide/programmatic-access-tokens
import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

const HOST = 'myorg-analytics.snowflakecomputing.com';
const kind = (type: string) => ({ 'x-snowflake-authorization-token-type': type });
const failed = (status: number, error: string, message: string) =>
  reply(status, { data: null, message, code: null, success: false, error });
const api = {
  url: `https://${HOST}/api/v2/databases`,
  answer: [],
  unauthorized: reply(401, { code: '390303', message: 'Invalid OAuth access token.' }),
};

const row = {
  flow: 'code',
  mode: 'oauth2_code',
  params: { account: 'myorg-analytics' },
  client: { id: 'uJfTnRVdbWSSrpYUz6ksXhcv+zQ=', secret: 'Vz1gVL7Rj/Example+wGpZqUVmYxTQ==' },
  scopes: ['refresh_token', 'session:role:ANALYST'],
  tokens: { access: 'ver:1-hint:1-ETMsDg', refresh: 'ver:2-hint:2-did:1-ETMsDg' },
  lifetime: 600,
  authorize: { url: `https://${HOST}/oauth/authorize` },
  token: {
    url: `https://${HOST}/oauth/token-request`,
    clientAuth: 'basic_raw',
    respond: ({ access, refresh, grant }: IssuedTokens) => ({
      access_token: access,
      ...(refresh !== undefined && { refresh_token: refresh }),
      expires_in: 600,
      token_type: 'Bearer',
      // Only in responses to codes.
      ...(grant === 'code' && { username: 'user1', idpInitiated: false }),
    }),
    errors: {
      deadGrant: failed(400, 'invalid_grant', 'This is an invalid grant.'),
      invalidClient: failed(400, 'invalid_client', 'This is an invalid client.'),
    },
  },
  refresh: { rotation: 'omitted' },
  api: { ...api, headers: kind('OAUTH') },
  account: { issuer: 'https://myorg-analytics.snowflakecomputing.com', id: 'user1', name: 'user1' },
  captured: { username: 'user1' },
  // Ninety days unless the client was made with less.
  expects: { reauthDueIn: 7_776_000 },
} satisfies CodeRow;

export default {
  provider: 'snowflake',
  rows: [
    row,
    { ...row, variant: 'single use', refresh: { rotation: 'single_use', endsAccess: true } },
    {
      flow: 'minted',
      mode: 'key_pair',
      client: { configuredAs: [] },
      connection: { account: 'myorg-analytics', account_identifier: 'MYORG-ANALYTICS', user: 'BROKER_SERVICE' },
      assertion: {
        claims: {
          iss: /^MYORG-ANALYTICS\.BROKER_SERVICE\.SHA256:[A-Za-z0-9+/]{43}=$/,
          sub: 'MYORG-ANALYTICS.BROKER_SERVICE',
        },
        maxLifetime: 3_600,
      },
      credentials: ({ privateKey }) => ({ private_key: privateKey }),
      api: { ...api, headers: kind('KEYPAIR_JWT') },
    },
    {
      flow: 'static',
      mode: 'programmatic_access_token',
      connection: { account: 'xy12345.eu-central-1' },
      credentials: { api_key: 'eyJraWQiOiJleGFtcGxlIn0.eyJwIjoiMSJ9.c2lnbmVk' },
      api: {
        ...api,
        url: 'https://xy12345.eu-central-1.snowflakecomputing.com/api/v2/databases',
        headers: kind('PROGRAMMATIC_ACCESS_TOKEN'),
      },
    },
  ],
  calls: {
    checks: [
      {
        method: 'POST',
        url: 'https://*/api/v2/statements',
        params: { statement: 'select 1' },
        answer: { code: '090001', statementHandle: 'h', data: [['1']] },
        unauthorized: reply(401, { code: '390144', message: 'JWT token is invalid.' }),
      },
    ],
    limits: [{ answer: reply(429, { code: '390505', message: 'Too many requests.' }), wait: 1 }],
  },
} satisfies Vendor;
