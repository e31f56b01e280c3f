// developer.squareup.com/reference/square/o-auth-api, …/docs/oauth-api/overview

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const error = (status: number, category: string, code: string) =>
  reply(status, { errors: [{ category, code, detail: `${code} is what went wrong.` }] });

export default {
  provider: 'square',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      scopes: ['MERCHANT_PROFILE_READ', 'PAYMENTS_READ'],
      granted: ['MERCHANT_PROFILE_READ', 'PAYMENTS_READ'],
      client: { id: 'sq0idp-Example', secret: 'sq0csp-Example' },
      tokens: { access: 'EAAA', refresh: 'EQAA' },
      lifetime: 2_592_000,
      authorize: {
        url: 'https://connect.squareup.com/oauth2/authorize',
        // With a challenge it is the PKCE flow, which takes no secret.
        pkce: 'refused',
        params: { session: 'false', locale: null },
      },
      token: {
        url: 'https://connect.squareup.com/oauth2/token',
        body: 'json',
        params: { short_lived: null },
        respond: ({ access, refresh, expiresAt }: IssuedTokens) => ({
          access_token: access,
          token_type: 'bearer',
          expires_at: expiresAt?.toISOString().replace(/\.\d+/, ''),
          merchant_id: 'MLJQYZE0V7X1A',
          refresh_token: refresh,
          short_lived: false,
        }),
        errors: {
          // developer.squareup.com/forums/t/getting-error-while-renew-token/11056
          deadGrant: reply(401, { message: 'Invalid refresh token', type: 'service.not_authorized' }),
          invalidClient: reply(401, { message: 'Not Authorized', type: 'service.not_authorized' }),
          rateLimited: error(429, 'RATE_LIMIT_ERROR', 'RATE_LIMITED'),
        },
      },
      refresh: { rotation: 'same' },
      revoke: {
        url: 'https://connect.squareup.com/oauth2/revoke',
        clientAuth: 'id_only',
        body: 'json',
        params: { client_id: '{client_id}', access_token: '{access_token}', revoke_only_access_token: null },
        headers: { authorization: 'Client {client_secret}' },
        answer: { success: true },
        ends: 'grant',
      },
      api: { url: 'https://connect.squareup.com/v2/locations' },
      account: { issuer: 'https://squareup.com', id: 'MLJQYZE0V7X1A', name: null },
      captured: { merchant_id: 'MLJQYZE0V7X1A' },
    },
    {
      flow: 'static',
      mode: 'personal_access_token',
      credentials: { api_key: 'EAAAEExample' },
      api: { url: 'https://connect.squareup.com/v2/locations' },
    },
  ],
  webhooks: [
    {
      name: 'authorization revoked by the merchant',
      secrets: ['asdf1234'],
      send({ url, hmac }) {
        const body = JSON.stringify({
          merchant_id: 'MLEFBHHSJGVHD',
          type: 'oauth.authorization.revoked',
          event_id: '5cf5-1',
          data: { object: { revocation: { revoker_type: 'MERCHANT' } } },
        });
        return json({ 'x-square-hmacsha256-signature': hmac(url + body, 'base64') }, body);
      },
      covers: ['body', 'url', 'key', 'algorithm', 'header:x-square-hmacsha256-signature'],
      event: {
        id: '5cf5-1',
        type: 'oauth.authorization.revoked',
        locator: 'captured.merchant_id=MLEFBHHSJGVHD',
        deauthorization: true,
      },
    },
    {
      name: 'authorization revoked by ourselves',
      secrets: ['asdf1234'],
      send({ url, hmac }) {
        const body = JSON.stringify({
          merchant_id: 'MLEFBHHSJGVHD',
          type: 'oauth.authorization.revoked',
          event_id: '5cf5-2',
          data: { object: { revocation: { revoker_type: 'APPLICATION' } } },
        });
        return json({ 'x-square-hmacsha256-signature': hmac(url + body, 'base64') }, body);
      },
      event: { deauthorization: false },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://connect.squareup.com/v2/merchants/me',
        answer: { merchant: { id: 'MLJQYZE0V7X1A', status: 'ACTIVE' } },
        account: 'MLJQYZE0V7X1A',
      },
    ],
    limits: [{ answer: reply(429, { errors: [{ category: 'RATE_LIMIT_ERROR', code: 'RATE_LIMITED' }] }), wait: 1 }],
  },
} satisfies Vendor;
