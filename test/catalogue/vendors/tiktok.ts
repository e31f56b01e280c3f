// developers.tiktok.com/doc/oauth-user-access-token-management, …/client-access-token-management

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const names = { client_id: 'client_key' };
const token = { url: 'https://open.tiktokapis.com/v2/oauth/token/' };

export default {
  provider: 'tiktok',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      renames: names,
      scopes: ['user.info.basic', 'video.list'],
      tokens: { access: 'act.', refresh: 'rft.' },
      lifetime: 86_400,
      authorize: {
        url: 'https://www.tiktok.com/v2/auth/authorize/',
        separator: ',',
        callback: ({ scopes }) => ({ scopes: scopes.join(',') }),
      },
      token: {
        ...token,
        respond: ({ body, scopes }: IssuedTokens) => ({
          ...body,
          open_id: 'afd97af1-b87b-48b9-ac98-410aghda5344',
          refresh_expires_in: 31_536_000,
          scope: scopes.join(','),
        }),
      },
      refresh: { rotation: 'sometimes' },
      revoke: {
        url: 'https://open.tiktokapis.com/v2/oauth/revoke/',
        params: { token: '{access_token}' },
        ends: 'grant',
      },
      api: {
        url: 'https://open.tiktokapis.com/v2/user/info/?fields=open_id',
        answer: { data: {}, error: { code: 'ok' } },
      },
      account: { issuer: 'https://www.tiktok.com', id: 'afd97af1-b87b-48b9-ac98-410aghda5344', name: null },
      captured: { open_id: 'afd97af1-b87b-48b9-ac98-410aghda5344' },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      renames: names,
      tokens: { access: 'clt.' },
      lifetime: 7_200,
      token,
      api: { url: 'https://open.tiktokapis.com/v2/research/video/query/', method: 'POST' },
    },
  ],
  webhooks: [
    {
      name: 'authorization removed',
      clientSecret: 'client secret',
      send({ seconds, hmac }) {
        const body = JSON.stringify({
          client_key: 'ck',
          event: 'authorization.removed',
          create_time: 1_615_338_610,
          user_openid: 'act.example12345',
          content: '{"reason":1}',
        });
        return json({ 'TikTok-Signature': `t=${seconds},s=${hmac(`${seconds}.${body}`, 'hex')}` }, body);
      },
      covers: ['body', 'key', 'algorithm', 'time', 'header:TikTok-Signature'],
      event: {
        id: null,
        type: 'authorization.removed',
        locator: 'captured.open_id=act.example12345',
        deauthorization: true,
      },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: 'https://open.tiktokapis.com/v2/user/info/?fields=open_id',
        answer: { data: { user: { open_id: 'afd97af1-b87b-48b9-ac98-410aghda5344' } }, error: { code: 'ok' } },
        unauthorized: reply(200, { data: {}, error: { code: 'access_token_invalid' } }),
      },
    ],
    limits: [{ answer: reply(429, { error: { code: 'rate_limit_exceeded' } }), wait: 60 }],
  },
} satisfies Vendor;
