// learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow, …/programmatic-refresh-tokens,
// …/linkedin/consumer/integrations/self-serve/sign-in-with-linkedin-v2, …/linkedin/marketing/versioning
import { createHmac } from 'node:crypto';
import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const VERSION = '202609';
const row = {
  flow: 'code',
  mode: 'oauth2_code',
  params: { linkedin_version: VERSION },
  tokens: { access: 'AQX', refresh: 'AQW' },
  lifetime: 5_184_000,
  // What proves possession of a code is another endpoint's, for native apps.
  authorize: { url: 'https://www.linkedin.com/oauth/v2/authorization', pkce: 'refused' },
  revoke: { url: 'https://www.linkedin.com/oauth/v2/revoke' },
  api: {
    url: 'https://api.linkedin.com/rest/adAccounts',
    headers: { 'linkedin-version': VERSION, 'x-restli-protocol-version': '2.0.0' },
    unauthorized: reply(401, {
      status: 401,
      serviceErrorCode: 65_601,
      code: 'REVOKED_ACCESS_TOKEN',
      message: 'revoked',
    }),
  },
} satisfies Partial<CodeRow>;

const errors = {
  deadGrant: reply(400, {
    error: 'invalid_request',
    error_description: 'The provided authorization grant or refresh token is invalid, expired or revoked',
  }),
  invalidClient: reply(401, { error: 'invalid_client', error_description: 'Client authentication failed' }),
  rateLimited: reply(429, {
    status: 429,
    serviceErrorCode: 101,
    code: 'TOO_MANY_REQUESTS',
    message: 'throttle limit reached',
  }),
};
const url = 'https://www.linkedin.com/oauth/v2/accessToken';
const DAY = 86_400;

export default {
  provider: 'linkedin',
  rows: [
    {
      ...row,
      scopes: ['openid', 'profile', 'w_member_social'],
      token: {
        url,
        respond: ({ access, scopes, body }: IssuedTokens) => ({
          access_token: access,
          expires_in: 5_184_000,
          scope: scopes.join(','),
          token_type: 'Bearer',
          id_token: body.id_token,
        }),
      },
      oidc: {
        issuer: 'https://www.linkedin.com/oauth',
        metadata: { jwks_uri: 'https://www.linkedin.com/oauth/openid/jwks' },
        claims: { sub: '782bbtaQ', name: 'John Doe' },
      },
    },
    {
      ...row,
      variant: 'partner',
      scopes: ['r_ads', 'rw_ads'],
      token: {
        url,
        respond: ({ access, refresh, scopes, grant }: IssuedTokens) => ({
          access_token: access,
          expires_in: 5_184_000,
          refresh_token: refresh,
          // Counts down, whatever is refreshed.
          refresh_token_expires_in: grant === 'code' ? 365 * DAY : 306 * DAY,
          scope: scopes.join(','),
        }),
        errors,
      },
      refresh: { rotation: 'same' },
    },
  ],
  webhooks: [
    {
      name: 'two notifications',
      clientSecret: 'client secret',
      send({ hmac }) {
        const body = JSON.stringify({
          type: 'ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS',
          notifications: [
            { notificationId: 1, action: 'LIKE' },
            { notificationId: 2, action: 'COMMENT' },
          ],
        });
        return json({ 'X-LI-Signature': hmac(`hmacsha256=${body}`, 'hex') }, body);
      },
      covers: ['body', 'key', 'algorithm', 'header:X-LI-Signature'],
      event: { count: 2, id: '1', type: 'LIKE' },
    },
    {
      name: 'challenge',
      clientSecret: 'client secret',
      send: ({ url }) => ({
        method: 'GET',
        url: `${url}?challengeCode=890e4665-4dfe-4ab1-b689-ed553bceeed0&applicationId=1`,
        headers: {},
        body: '',
      }),
      covers: [],
      handshake: {
        needsKey: true,
        body: JSON.stringify({
          challengeCode: '890e4665-4dfe-4ab1-b689-ed553bceeed0',
          challengeResponse: createHmac('sha256', 'client secret')
            .update('890e4665-4dfe-4ab1-b689-ed553bceeed0')
            .digest('hex'),
        }),
      },
    },
  ],
  calls: {
    checks: [
      {
        scope: 'openid',
        url: 'https://api.linkedin.com/v2/userinfo',
        answer: { sub: '782bbtaQ' },
        unauthorized: reply(401, { status: 401, serviceErrorCode: 65601 }),
      },
    ],
    limits: [
      {
        answer: reply(429, {
          status: 429,
          message: 'Resource level throttle limit for calls to this resource is reached.',
        }),
        wait: 3600,
      },
    ],
  },
} satisfies Vendor;
