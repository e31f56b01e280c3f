// github.com/reddit-archive/reddit/wiki/OAuth2, …/wiki/API, github.com/praw-dev/prawcore
import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

const AGENT = 'web:com.example.broker:v1.0 (by /u/example)';
const headers = { 'user-agent': AGENT };
const failed = (error: number, message: string) => reply(error, { message, error });

export default {
  provider: 'reddit',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      params: { user_agent: AGENT },
      client: { id: 'p-jcoLKBynTLew', secret: 'gko_LXELoV07ZBNUXrvWZfzE3aI-1' },
      scopes: ['identity', 'read'],
      lifetime: 86_400,
      authorize: { url: 'https://www.reddit.com/api/v1/authorize', params: { duration: 'permanent' } },
      token: {
        url: 'https://www.reddit.com/api/v1/access_token',
        clientAuth: 'basic_raw',
        headers,
        respond: ({ body }: IssuedTokens) => ({ ...body, token_type: 'bearer' }),
        errors: {
          deadGrant: failed(400, 'Bad Request'),
          invalidClient: failed(401, 'Unauthorized'),
          rateLimited: failed(429, 'Too Many Requests'),
        },
      },
      refresh: { rotation: 'omitted' },
      revoke: {
        url: 'https://www.reddit.com/api/v1/revoke_token',
        clientAuth: 'basic_raw',
        headers,
        params: { token: '{refresh_token}', token_type_hint: 'refresh_token' },
        // With all its access tokens.
        ends: 'grant',
      },
      account: { issuer: 'https://www.reddit.com', id: '1w72', name: 'spez' },
      api: {
        url: 'https://oauth.reddit.com/api/v1/me',
        answer: { id: '1w72', name: 'spez' },
        headers,
        unauthorized: failed(401, 'Unauthorized'),
      },
    },
  ],
  calls: {
    checks: [{ url: 'https://oauth.reddit.com/api/v1/me', answer: { id: '1w72', name: 'spez' } }],
    limits: [
      {
        answer: reply(
          429,
          { message: 'Too Many Requests', error: 429 },
          { 'x-ratelimit-used': '600', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '45' },
        ),
        wait: 45,
      },
    ],
  },
} satisfies Vendor;
