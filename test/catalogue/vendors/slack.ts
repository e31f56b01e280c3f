// docs.slack.dev/authentication/installing-with-oauth, …/using-token-rotation, …/methods/auth.revoke
import { type IssuedTokens, type Json, type Row, reply, type Vendor } from '../emulator/vendor.ts';

const installed = {
  app_id: 'A0KRD7HC3',
  team: { name: 'Slack Softball Team', id: 'T9TK3CUKW' },
  enterprise: null,
  is_enterprise_install: false,
};

/** Every error is a 200. */
const failed = (error: string) => reply(200, { ok: false, error });
const errors = {
  deadGrant: failed('invalid_refresh_token'),
  invalidClient: failed('bad_client_secret'),
  request: failed('invalid_arguments'),
  rateLimited: reply(429, { ok: false, error: 'ratelimited' }, { 'retry-after': '30' }),
};

const bot = ({ body, scopes }: IssuedTokens): Json => ({
  ok: true,
  ...body,
  token_type: 'bot',
  scope: scopes.join(','),
  bot_user_id: 'U0KRQLJ9H',
  ...installed,
  authed_user: { id: 'U1234' },
});
const user = ({ body, scopes }: IssuedTokens): Json => ({
  ok: true,
  ...installed,
  authed_user: { id: 'U1234', ...body, scope: scopes.join(','), token_type: 'user' },
});

const revoke = {
  url: 'https://slack.com/api/auth.revoke',
  authorizedBy: 'Bearer',
  answer: { ok: true, revoked: true },
} satisfies Extract<Row, { flow: 'code' }>['revoke'];
const api = {
  url: 'https://slack.com/api/auth.test',
  answer: { ok: true },
  unauthorized: reply(401, { ok: false, error: 'invalid_auth' }),
};

export default {
  provider: 'slack',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      params: { user_scope: 'search:read' },
      scopes: ['chat:write', 'channels:read'],
      tokens: { access: 'xoxe.xoxb-1-', refresh: 'xoxe-1-' },
      lifetime: 43_200,
      authorize: {
        url: 'https://slack.com/oauth/v2/authorize',
        separator: ',',
        params: { user_scope: 'search:read', team: null },
      },
      token: {
        url: 'https://slack.com/api/oauth.v2.access',
        clientAuth: ['basic', 'post'],
        respond: bot,
        errors,
      },
      refresh: { rotation: 'single_use' },
      revoke,
      api,
      account: { issuer: 'https://slack.com', id: 'T9TK3CUKW/U1234', name: 'Slack Softball Team' },
      captured: { team_id: 'T9TK3CUKW', app_id: 'A0KRD7HC3', bot_user_id: 'U0KRQLJ9H', user_id: 'U1234' },
    },
    {
      flow: 'code',
      mode: 'user_token',
      scopes: ['search:read'],
      tokens: { access: 'xoxp-' },
      lifetime: null,
      renames: { scope: 'user_scope' },
      authorize: { url: 'https://slack.com/oauth/v2/authorize', separator: ',', params: { team: null } },
      token: {
        url: 'https://slack.com/api/oauth.v2.access',
        clientAuth: ['basic', 'post'],
        respond: user,
        errors,
      },
      revoke,
      api,
      account: { issuer: 'https://slack.com', id: 'T9TK3CUKW/U1234', name: 'Slack Softball Team' },
      captured: { team_id: 'T9TK3CUKW', user_id: 'U1234' },
    },
    {
      flow: 'code',
      mode: 'sign_in_with_slack',
      scopes: ['openid', 'email', 'profile'],
      tokens: { access: 'xoxp-' },
      lifetime: null,
      authorize: { url: 'https://slack.com/openid/connect/authorize', params: { team: null } },
      token: {
        url: 'https://slack.com/api/openid.connect.token',
        respond: ({ body: { access_token, id_token } }) => ({ ok: true, access_token, token_type: 'Bearer', id_token }),
        errors,
      },
      revoke,
      api: { ...api, url: 'https://slack.com/api/openid.connect.userInfo' },
      oidc: { issuer: 'https://slack.com', metadata: { jwks_uri: 'https://slack.com/openid/connect/keys' } },
    },
  ],
} satisfies Vendor;
