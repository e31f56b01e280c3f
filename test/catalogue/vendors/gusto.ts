// docs.gusto.com/app-integrations/docs/oauth2, …/reference/refresh-access-token, …/reference/get-v1-token-info

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, signedBody } from '../emulator/webhook.ts';

const row = (host: string) =>
  ({
    flow: 'code',
    mode: 'oauth2_code',
    // Fixed on the app.
    granted: ['companies:read', 'employees:read'],
    lifetime: 7_200,
    authorize: { url: `https://${host}/oauth/authorize`, separator: null },
    token: {
      url: `https://${host}/oauth/token`,
      body: 'json',
      respond: ({ body }: IssuedTokens) => ({
        ...body,
        token_type: 'bearer',
        created_at: Math.floor(Date.now() / 1_000),
      }),
      errors: {
        deadGrant: reply(400, {
          error: 'invalid_grant',
          error_description: 'The provided authorization grant is invalid, expired, revoked, or was issued to another.',
        }),
        invalidClient: reply(401, { error: 'invalid_client', error_description: 'Client authentication failed.' }),
      },
    },
    // The one before ends when the new access token is first used.
    refresh: { rotation: 'grace', params: { redirect_uri: '{redirect_uri}' } },
    lookups: [
      {
        url: `https://${host}/v1/token_info`,
        answer: {
          scope: 'companies:read employees:read',
          resource: { type: 'Company', uuid: '8a9be1d6-33a4-4a4b-a2ee-c4d8a4b0a6a6' },
          resource_owner: { type: 'CompanyAdmin', uuid: '97bd6a0b-6b3a-4e29-9b9a-2d9d5a3f0b11' },
        },
      },
    ],
    revoke: { url: `https://${host}/oauth/revoke`, answer: {}, ends: 'grant' },
    api: { url: `https://${host}/v1/companies/8a9be1d6-33a4-4a4b-a2ee-c4d8a4b0a6a6` },
    account: { issuer: `https://${host}`, id: '8a9be1d6-33a4-4a4b-a2ee-c4d8a4b0a6a6', name: null },
    captured: {
      company_id: '8a9be1d6-33a4-4a4b-a2ee-c4d8a4b0a6a6',
      admin_id: '97bd6a0b-6b3a-4e29-9b9a-2d9d5a3f0b11',
    },
  }) satisfies CodeRow;
const demo = row('api.gusto-demo.com');

export default {
  provider: 'gusto',
  rows: [
    row('api.gusto.com'),
    {
      ...demo,
      variant: 'demo',
      params: { environment: 'demo', api_version: '2026-02-01' },
      api: { ...demo.api, headers: { 'x-gusto-api-version': '2026-02-01' } },
    },
  ],
  webhooks: [
    {
      name: 'company provisioned',
      secrets: ['verification-token'],
      ...signedBody('X-Gusto-Signature', {}, { uuid: 'u1', event_type: 'company.provisioned', resource_uuid: 'c1' }),
      event: { id: 'u1', type: 'company.provisioned', locator: 'captured.company_id=c1' },
    },
    {
      name: 'verification token',
      send: () => json({}, { verification_token: 'verification-token', webhook_subscription_uuid: 'w1' }),
      covers: [],
      handshake: { learns: 'verification-token' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://*/v1/token_info',
        answer: { resource: { type: 'Company', uuid: '8a9be1d6-33a4-4a4b-a2ee-c4d8a4b0a6a6' } },
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { errors: [{ category: 'rate_limit_exceeded' }] },
          { 'x-ratelimit-limit': '200', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795910455' },
        ),
        wait: 55,
      },
    ],
  },
} satisfies Vendor;
