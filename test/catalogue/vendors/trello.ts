// developer.atlassian.com/cloud/trello/guides/rest-api/authorization
import { reply, type Vendor } from '../emulator/vendor.ts';

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
} satisfies Vendor;
