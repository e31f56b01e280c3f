// developer.xero.com/documentation/guides/oauth2/auth-flow, …/oauth2/custom-connections, …/oauth2/token-types,
// …/oauth2/limits, developer.xero.com/faq/oauth2

import { type CodeRow, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

const TENANT = '70784a63-d24b-46a9-a4db-0e70a274b056';
const OTHER = 'e0da6937-de07-4a14-adee-37abfac298ce';
const CONNECTIONS = ['e1eede29-f875-4a5d-8470-17f6a29a88b1', '1b2c3d4e-f875-4a5d-8470-17f6a29a88b2'];
const url = 'https://identity.xero.com/connect/token';
const errors = {
  // As bare as this.
  deadGrant: reply(400, { error: 'invalid_grant' }),
  invalidClient: reply(400, { error: 'invalid_client' }),
  rateLimited: reply(429, '', { 'retry-after': '30', 'x-rate-limit-problem': 'minute' }),
};
const api = {
  url: 'https://api.xero.com/api.xro/2.0/Organisation',
  unauthorized: reply(401, {
    Type: null,
    Title: 'Unauthorized',
    Status: 401,
    Detail: 'AuthenticationUnsuccessful',
    Instance: '0b1c2d3e',
    Extensions: {},
  }),
};
const organisation = (tenantId: string, i: number, tenantName: string) => ({
  id: CONNECTIONS[i],
  authEventId: 'd99ecdfe-391d-43d2-b834-17636ba90e8d',
  tenantId,
  tenantType: 'ORGANISATION',
  tenantName,
  createdDateUtc: '2026-07-09T23:40:30.1833130',
  updatedDateUtc: '2026-07-09T23:40:30.1833130',
});

const row = {
  flow: 'code',
  mode: 'oauth2_code',
  scopes: ['openid', 'offline_access', 'accounting.transactions'],
  tokens: { jwt: true },
  lifetime: 1_800,
  authorize: { url: 'https://login.xero.com/identity/connect/authorize' },
  token: { url, clientAuth: 'basic_raw', errors },
  // For half an hour.
  refresh: { rotation: 'grace' },
  lookups: [
    {
      url: 'https://api.xero.com/connections',
      answer: [organisation(TENANT, 0, 'Maple Florists Ltd'), organisation(OTHER, 1, 'Adam Demo Company')],
    },
  ],
  // With all the organisations that the user connected.
  revoke: { url: 'https://identity.xero.com/connect/revocation', ends: 'grant' },
  oidc: { issuer: 'https://identity.xero.com', claims: { sub: '129c81c6f9d6c5d8a9f0e5f8f8c8f8a1' } },
  api,
  captured: {
    tenant_ids: [TENANT, OTHER],
    connection_ids: CONNECTIONS,
    tenant_names: ['Maple Florists Ltd', 'Adam Demo Company'],
  },
} satisfies CodeRow;

export default {
  provider: 'xero',
  rows: [
    row,
    {
      ...row,
      variant: 'of one organisation',
      connection: { tenant_id: OTHER },
      api: { ...api, headers: { 'xero-tenant-id': OTHER } },
    },
    {
      flow: 'minted',
      mode: 'custom_connection',
      client: { configuredAs: [] },
      scopes: ['accounting.transactions', 'accounting.contacts.read'],
      tokens: { jwt: true },
      lifetime: 1_800,
      token: { url, clientAuth: 'basic_raw', errors: { ...errors, deadGrant: errors.invalidClient } },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      api,
    },
  ],
  webhooks: [
    {
      name: 'two events',
      secrets: ['webhook-key'],
      ...signedBody(
        'x-xero-signature',
        { encoding: 'base64' },
        {
          firstEventSequence: 1,
          events: [1, 2].map((n) => ({
            tenantId: 't1',
            resourceId: `r${n}`,
            eventCategory: 'INVOICE',
            eventType: 'UPDATE',
            eventDateUtc: '2026-11-28T10:00:00.000',
          })),
        },
      ),
      event: { count: 2, id: null, type: 'INVOICE.UPDATE', locator: 'captured.tenant_ids=t1' },
      answer: { status: 200 },
    },
    {
      name: 'intent to receive',
      secrets: ['webhook-key'],
      ...signedBody(
        'x-xero-signature',
        { encoding: 'base64' },
        { events: [], firstEventSequence: 0, lastEventSequence: 0, entropy: 'S0m3r4Nd0mt3xt' },
      ),
      event: { count: 0 },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.xero.com/connections',
        answer: [{ id: 'c1', tenantId: '70784a63-d24b-46a9-a4db-0e70a274b056' }],
      },
    ],
    limits: [
      {
        answer: reply(429, '', {
          'x-rate-limit-problem': 'minute',
          'x-minlimit-remaining': '0',
          'x-daylimit-remaining': '3000',
          'retry-after': '23',
        }),
        wait: 23,
      },
      {
        answer: reply(429, '', {
          'x-rate-limit-problem': 'appminute',
          'x-appminlimit-remaining': '0',
          'retry-after': '12',
        }),
        wait: 12,
        scope: 'integration',
      },
      { answer: reply(429, '', { 'x-rate-limit-problem': 'concurrent' }), wait: 1 },
    ],
  },
} satisfies Vendor;
