// developer.monday.com/apps/docs/oauth, …/apps/docs/migrating-to-the-new-oauth-flow, …/api-reference/docs/authentication,
// …/api-reference/docs/api-versioning

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { hs256, json } from '../emulator/webhook.ts';

const CONSENT = 'https://auth.monday.com/oauth2/authorize';
const api = {
  method: 'POST',
  url: 'https://api.monday.com/v2',
  tokenType: ['Bearer', 'header:Authorization'],
  answer: { data: { me: { id: '4012689' }, account: { id: '1825528' } }, account_id: 1_825_528 },
  unauthorized: reply(401, { errors: [{ message: 'Not Authenticated' }] }),
} as const;
const lookups = [{ url: api.url, method: api.method, tokenType: [...api.tokenType], answer: api.answer }];
const captured = { account_id: '1825528' };
const scopes = ['me:read', 'boards:read'];

export default {
  provider: 'monday',
  rows: [
    {
      flow: 'code',
      mode: 'oauth_2_1',
      params: { force_install_if_needed: 'true', api_version: '2026-10' },
      scopes,
      // Only the token itself has its expiry.
      tokens: { jwt: true },
      lifetime: 3_600,
      authorize: { url: CONSENT, pkce: 'required', params: { force_install_if_needed: 'true' } },
      token: {
        url: 'https://auth.monday.com/oauth_ms/oauth/token',
        clientAuth: ['post', 'basic_raw'],
        respond: ({ access, refresh, scopes: granted }: IssuedTokens) => ({
          access_token: access,
          token_type: 'Bearer',
          refresh_token: refresh,
          scope: granted.join(' '),
        }),
      },
      refresh: { rotation: 'single_use' },
      revoke: { url: 'https://auth.monday.com/oauth_ms/oauth/revoke' },
      lookups,
      api: { ...api, tokenType: [...api.tokenType], headers: { 'api-version': '2026-10' } },
      captured,
    },
    {
      flow: 'code',
      mode: 'legacy',
      scopes,
      lifetime: null,
      authorize: { url: CONSENT, pkce: 'refused' },
      token: {
        url: 'https://auth.monday.com/oauth2/token',
        params: { grant_type: null },
        respond: ({ access, scopes: granted }: IssuedTokens) => ({
          access_token: access,
          token_type: 'Bearer',
          scope: granted.join(' '),
        }),
      },
      lookups,
      api: { ...api, tokenType: [...api.tokenType] },
      captured,
    },
    {
      flow: 'static',
      mode: 'api_key',
      params: { api_version: '2026-10' },
      credentials: { api_key: 'eyJhbGciOiJIUzI1NiJ9.eyJ0aWQiOjEyMywiYWFpIjoxMSwidWlkIjo0MDEyNjg5fQ.c2lnbmVk' },
      api: { ...api, tokenType: 'header:Authorization', headers: { 'api-version': '2026-10' } },
    },
  ],
  webhooks: [
    {
      name: 'app uninstalled',
      clientSecret: 'client secret',
      send: (sending) =>
        json(
          {
            Authorization: hs256(sending, {
              iat: Number(sending.seconds),
              exp: Number(sending.seconds) + 60,
              accountId: 1825528,
            }),
          },
          { type: 'uninstall', data: { account_id: 1825528, user_id: 1 } },
        ),
      covers: ['key', 'algorithm', 'time', 'header:Authorization'],
      event: { type: 'uninstall', locator: 'captured.account_id=1825528', deauthorization: true },
    },
    {
      name: 'board webhook',
      secrets: ['signing secret'],
      send: (sending) =>
        json(
          {
            Authorization: hs256(sending, {
              iat: Number(sending.seconds),
              exp: Number(sending.seconds) + 60,
              accountId: 1825528,
              aud: sending.url,
            }),
          },
          { event: { type: 'update_column_value', triggerUuid: 'u1' } },
        ),
      covers: ['key', 'algorithm', 'header:Authorization'],
      event: { id: 'u1', type: 'update_column_value', locator: 'captured.account_id=1825528' },
    },
    {
      name: 'challenge',
      send: () => json({}, { challenge: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P' }),
      covers: [],
      handshake: { body: '{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}' },
    },
  ],
  calls: {
    checks: [
      {
        method: 'POST',
        url: 'https://api.monday.com/v2',
        params: { query: '{ me { id account { id } } }' },
        answer: { data: { me: { id: '4012689', account: { id: '1825528' } } } },
        unauthorized: reply(401, { errors: ['Not Authenticated'] }),
        account: '4012689',
      },
    ],
    limits: [
      {
        answer: reply(200, {
          errors: [
            {
              message: 'Complexity budget exhausted',
              extensions: { code: 'COMPLEXITY_BUDGET_EXHAUSTED', retry_in_seconds: 16 },
            },
          ],
        }),
        wait: 16,
      },
      {
        answer: reply(
          429,
          { errors: [{ extensions: { code: 'MINUTE_RATE_LIMIT_EXCEEDED' } }] },
          { 'retry-after': '31' },
        ),
        wait: 31,
      },
    ],
  },
} satisfies Vendor;
