// developer.atlassian.com/cloud/trello/guides/rest-api/authorization

import { reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const KEY = '0123456789abcdef0123456789abcdef';
const TOKEN = 'ATTA0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefABCDEF01';

export default {
  provider: 'trello',
  rows: [
    {
      flow: 'static',
      mode: 'key_and_token',
      credentials: { api_key: KEY, token: TOKEN },
      served: `oauth_consumer_key="${KEY}", oauth_token="${TOKEN}"`,
      api: {
        url: 'https://api.trello.com/1/members/me',
        tokenType: 'OAuth',
        answer: { id: '5b02e7f4e1facdc393169f9d', username: 'ada' },
        unauthorized: reply(401, 'invalid token'),
      },
    },
  ],
  webhooks: [
    {
      name: 'action',
      secrets: ['application secret'],
      send({ url, hmac }) {
        const body = JSON.stringify({
          action: { id: '51f9424bcd6e040f3c002412', type: 'updateCard' },
          model: { id: 'm1' },
        });
        return json({ 'X-Trello-Webhook': hmac(body + url, 'base64', 'sha1') }, body);
      },
      covers: ['body', 'url', 'key', 'algorithm', 'header:X-Trello-Webhook'],
      event: { id: '51f9424bcd6e040f3c002412', type: 'updateCard' },
    },
    {
      name: 'HEAD',
      secrets: ['application secret'],
      send: () => ({ method: 'HEAD', headers: {}, body: '' }),
      covers: [],
      handshake: {},
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.trello.com/1/members/me?fields=id',
        answer: { id: '5b02e7f4e1facdc393169f9d' },
        unauthorized: reply(401, 'invalid token'),
        account: '5b02e7f4e1facdc393169f9d',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { error: 'API_TOKEN_LIMIT_EXCEEDED', message: 'Rate limit exceeded' },
          {
            'x-rate-limit-api-token-max': '100',
            'x-rate-limit-api-token-remaining': '0',
            'x-rate-limit-api-token-interval-ms': '10000',
          },
        ),
        wait: 10,
      },
    ],
  },
} satisfies Vendor;
