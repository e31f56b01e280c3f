// docs.slack.dev/authentication/installing-with-oauth, …/using-token-rotation, …/methods/auth.revoke

import { type IssuedTokens, type Json, type Row, reply, type Vendor } from '../emulator/vendor.ts';
import { form, json, type SentWebhook, type VendorWebhook } from '../emulator/webhook.ts';

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

const signed = (content: () => SentWebhook): Pick<VendorWebhook, 'secrets' | 'send'> => ({
  secrets: ['8f742231b10e8888abcd99yyyzzz85a5'],
  send({ seconds, hmac }) {
    const { headers, body } = content();
    return {
      headers: {
        ...headers,
        'X-Slack-Signature': `v0=${hmac(`v0:${seconds}:${body}`, 'hex')}`,
        'X-Slack-Request-Timestamp': seconds,
      },
      body,
    };
  },
});

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
  webhooks: [
    {
      name: 'app uninstalled',
      ...signed(() =>
        json(
          {},
          {
            type: 'event_callback',
            team_id: 'T9TK3CUKW',
            api_app_id: 'A1',
            event_id: 'Ev1',
            event: { type: 'app_uninstalled' },
          },
        ),
      ),
      covers: ['body', 'key', 'algorithm', 'time', 'header:X-Slack-Signature', 'header:X-Slack-Request-Timestamp'],
      event: { id: 'Ev1', type: 'app_uninstalled', locator: 'captured.team_id=T9TK3CUKW', deauthorization: true },
    },
    {
      name: 'tokens revoked',
      ...signed(() =>
        json(
          {},
          {
            type: 'event_callback',
            team_id: 'T9TK3CUKW',
            event_id: 'Ev2',
            event: { type: 'tokens_revoked', tokens: { oauth: ['U1234', 'U5678'], bot: ['UXXXXXXXX'] } },
          },
        ),
      ),
      event: { id: 'Ev2', locator: 'account.id=T9TK3CUKW/U5678', deauthorization: true },
    },
    {
      name: 'interactivity',
      ...signed(() => form({}, { payload: JSON.stringify({ type: 'block_actions', team: { id: 'T9TK3CUKW' } }) })),
      event: { type: 'block_actions', locator: 'captured.team_id=T9TK3CUKW' },
    },
    {
      name: 'slash command',
      ...signed(() => form({}, { command: '/weather', team_id: 'T9TK3CUKW', text: '94070' })),
      event: { type: '/weather', locator: 'captured.team_id=T9TK3CUKW' },
    },
    {
      name: 'URL verification',
      ...signed(() =>
        json(
          {},
          {
            token: 'Jhj5dZrVaK7ZwHHjRyZWjbDl',
            challenge: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P',
            type: 'url_verification',
          },
        ),
      ),
      handshake: { body: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        method: 'POST',
        url: 'https://slack.com/api/auth.test',
        answer: { ok: true, team_id: 'T9TK3CUKW', user_id: 'U0KRQLJ9H', bot_id: 'B1' },
        unauthorized: reply(200, { ok: false, error: 'invalid_auth' }),
      },
      {
        modes: ['user_token'],
        method: 'POST',
        url: 'https://slack.com/api/auth.test',
        answer: { ok: true, team_id: 'T9TK3CUKW', user_id: 'U1234' },
        unauthorized: reply(200, { ok: false, error: 'invalid_auth' }),
      },
      {
        modes: ['sign_in_with_slack'],
        method: 'POST',
        url: 'https://slack.com/api/auth.test',
        answer: { ok: true, team_id: 'T9TK3CUKW', user_id: 'ada' },
        unauthorized: reply(200, { ok: false, error: 'invalid_auth' }),
      },
    ],
    limits: [{ answer: reply(429, { ok: false, error: 'ratelimited' }, { 'retry-after': '30' }), wait: 30 }],
  },
} satisfies Vendor;
