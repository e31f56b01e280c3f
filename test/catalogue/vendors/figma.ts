// developers.figma.com/docs/rest-api/authentication, …/docs/rest-api/oauth-apps, …/docs/rest-api/personal-access-tokens,
// …/docs/rest-api/rate-limits

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const api = {
  url: 'https://api.figma.com/v1/me',
  answer: { id: '2345678901', email: 'jane@example.com', handle: 'Jane', img_url: '' },
  unauthorized: reply(403, { status: 403, err: 'Invalid token' }),
};
const failed = (status: number, message: string) => reply(status, { error: true, status, message, i18n: null });

export default {
  provider: 'figma',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      scopes: ['file_content:read', 'file_comments:write'],
      tokens: { access: 'figu_', refresh: 'figur_' },
      lifetime: 7_776_000,
      authorize: { url: 'https://www.figma.com/oauth' },
      token: {
        url: 'https://api.figma.com/v1/oauth/token',
        clientAuth: 'basic_raw',
        respond: ({ access, refresh }: IssuedTokens) => ({
          user_id: 2_345_678_901,
          user_id_string: '2345678901',
          access_token: access,
          token_type: 'bearer',
          expires_in: 7_776_000,
          refresh_token: refresh,
        }),
        errors: {
          invalidClient: failed(401, 'Invalid client credentials'),
          rateLimited: reply(429, { status: 429, err: 'Rate limit exceeded' }, { 'retry-after': '30' }),
        },
      },
      refresh: {
        url: 'https://api.figma.com/v1/oauth/refresh',
        rotation: 'omitted',
        params: { grant_type: false },
        respond: ({ access }: IssuedTokens) => ({ access_token: access, token_type: 'bearer', expires_in: 7_776_000 }),
      },
      api,
      account: { issuer: 'https://www.figma.com', id: '2345678901', name: null },
      captured: { user_id: '2345678901' },
    },
    {
      flow: 'static',
      mode: 'personal_access_token',
      credentials: { api_key: 'figd_Example-0123456789' },
      api: { ...api, tokenType: 'header:X-Figma-Token' },
    },
  ],
  webhooks: [
    {
      name: 'file update',
      secrets: ['passcode-of-our-own'],
      send: ({ key }) =>
        json(
          {},
          {
            event_type: 'FILE_UPDATE',
            passcode: key,
            webhook_id: '22',
            timestamp: '2026-11-28T10:00:00Z',
            file_key: 'zH',
          },
        ),
      covers: ['key'],
      event: { id: null, type: 'FILE_UPDATE' },
    },
    {
      name: 'ping',
      secrets: ['passcode-of-our-own'],
      send: ({ key }) => json({}, { event_type: 'PING', passcode: key, webhook_id: '22' }),
      covers: ['key'],
      handshake: {},
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.figma.com/v1/me',
        answer: { id: '2345678901', handle: 'Jane' },
        unauthorized: reply(403, { status: 403, err: 'Invalid token' }),
        account: '2345678901',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { status: 429, err: 'Rate limit exceeded' },
          { 'retry-after': '33', 'x-figma-rate-limit-type': 'low' },
        ),
        wait: 33,
      },
    ],
  },
} satisfies Vendor;
