// developers.hubspot.com/docs/api-reference/2026-03/authentication/oauth-tokens/refresh-oauth-token, …/oauth-tokens/revoke-token,
// …/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses,
// …/changelog/additional-details-returned-when-generating-oauth-access-tokens, …/docs/apps/developer-platform/build-apps/authentication

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

/** What it said before stays beside what RFC 6749 asks for. */
const failed = (error: string, status: string, message: string) =>
  reply(400, { error, error_description: message, status, message });
const api = {
  url: 'https://api.hubapi.com/crm/v3/objects/contacts',
  answer: { results: [] },
  unauthorized: reply(401, {
    status: 'error',
    message: 'The OAuth token used to make this call expired 5 minute(s) ago.',
    correlationId: 'aeb5f871-7f07-4993-9211-075dc63e7cbf',
    category: 'EXPIRED_AUTHENTICATION',
  }),
};
const row = {
  flow: 'code',
  mode: 'oauth2_code',
  scopes: ['oauth', 'crm.objects.contacts.read'],
  tokens: { access: 'CPGAexample', refresh: 'na1-ab12-' },
  lifetime: 1_800,
  authorize: { url: 'https://app.hubspot.com/oauth/authorize' },
  token: {
    url: 'https://api.hubapi.com/oauth/2026-03/token',
    // The same when a refresh token is spent, which stays as it is.
    respond: ({ access, refresh, scopes }: IssuedTokens) => ({
      token_type: 'bearer',
      refresh_token: refresh,
      access_token: access,
      hub_id: 62_515,
      user_id: 123_456,
      scopes,
      token_use: 'access_token',
      expires_in: 1_800,
    }),
    errors: {
      deadGrant: failed('invalid_grant', 'BAD_REFRESH_TOKEN', 'refresh token is invalid, expired or revoked'),
      invalidClient: failed('invalid_client', 'BAD_CLIENT_SECRET', 'missing or invalid client secret'),
      rateLimited: reply(429, {
        status: 'error',
        message: 'You have reached your ten_secondly_rolling limit.',
        errorType: 'RATE_LIMIT',
        correlationId: 'c033cdaa-2c40-4a64-ae48-b4cec88dad24',
        policyName: 'TEN_SECONDLY_ROLLING',
      }),
    },
  },
  refresh: { rotation: 'same' },
  // It ends the refresh token only.
  revoke: { url: 'https://api.hubapi.com/oauth/2026-03/token/revoke', keepsAccess: true },
  api,
  account: { issuer: 'https://app.hubspot.com', id: '62515', name: null },
  captured: { hub_id: 62_515, user_id: 123_456 },
} satisfies CodeRow;

const changed =
  '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123},{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600001,"subscriptionType":"contact.creation","objectId":124}]';

export default {
  provider: 'hubspot',
  rows: [
    row,
    {
      ...row,
      variant: 'optional scopes, newer version',
      params: { oauth_version: '2026-09', optional_scope: 'crm.objects.deals.read tickets' },
      granted: ['oauth', 'crm.objects.contacts.read', 'tickets'],
      authorize: { ...row.authorize, params: { optional_scope: 'crm.objects.deals.read tickets' } },
      token: { ...row.token, url: 'https://api.hubapi.com/oauth/2026-09/token' },
      revoke: { url: 'https://api.hubapi.com/oauth/2026-09/token/revoke', keepsAccess: true },
    },
    {
      flow: 'static',
      mode: 'private_app_token',
      credentials: { api_key: 'pat-na1-00000000-0000-4000-8000-000000000000' },
      api,
    },
  ],
  webhooks: [
    {
      name: 'signature version 3',
      clientSecret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy',
      send({ url, at, hmac }) {
        const called = `${url}?path=a%2Fb%3Ac&x=%20`;
        const signed = `${url}?path=a/b:c&x=%20`;
        const ms = String(at.getTime());
        return {
          ...json(
            {
              'X-HubSpot-Signature-v3': hmac(`POST${signed}${changed}${ms}`, 'base64'),
              'X-HubSpot-Request-Timestamp': ms,
            },
            changed,
          ),
          url: called,
        };
      },
      covers: [
        'body',
        'url',
        'key',
        'algorithm',
        'time',
        'header:X-HubSpot-Signature-v3',
        'header:X-HubSpot-Request-Timestamp',
      ],
      event: { count: 2, id: null, type: 'contact.creation', locator: 'captured.hub_id=62515' },
    },
    {
      name: 'signature version 2',
      clientSecret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy',
      send: ({ url, key, hash }) =>
        json(
          { 'X-HubSpot-Signature-Version': 'v2', 'X-HubSpot-Signature': hash(`${key}POST${url}${changed}`) },
          changed,
        ),
      covers: ['body', 'url', 'key', 'algorithm', 'header:X-HubSpot-Signature'],
      event: { count: 2 },
    },
    {
      name: 'signature version 1',
      clientSecret: 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy',
      send: ({ key, hash }) =>
        json({ 'X-HubSpot-Signature-Version': 'v1', 'X-HubSpot-Signature': hash(key + changed) }, changed),
      covers: ['body', 'key', 'algorithm', 'header:X-HubSpot-Signature'],
      event: { count: 2 },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.hubapi.com/account-info/v3/details',
        answer: { portalId: 62515, accountType: 'STANDARD' },
        account: '62515',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { status: 'error', errorType: 'RATE_LIMIT', policyName: 'TEN_SECONDLY_ROLLING' },
          {
            'x-hubspot-ratelimit-max': '110',
            'x-hubspot-ratelimit-remaining': '0',
            'x-hubspot-ratelimit-interval-milliseconds': '10000',
          },
        ),
        wait: 10,
      },
    ],
  },
} satisfies Vendor;
