// dev.twitch.tv/docs/authentication/getting-tokens-oauth, …/refresh-tokens, …/validate-tokens, …/revoke-tokens

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, type VendorWebhook } from '../emulator/webhook.ts';

const failed = (status: number, message: string) => reply(status, { status, message });
const client = failed(403, 'invalid client secret');
const url = 'https://id.twitch.tv/oauth2/token';
const helix = {
  headers: { 'client-id': '{client_id}' },
  unauthorized: reply(401, { error: 'Unauthorized', status: 401, message: 'Invalid OAuth token' }),
};

const signed = (
  type: string,
  content: { subscription: { type?: string; [name: string]: unknown }; [name: string]: unknown },
): Pick<VendorWebhook, 'secrets' | 'send'> => ({
  secrets: ['5f1a6e7cd2e7137ccf9e15b2f43fe63949eb84b1db83c1d5a867dc93429de4e4'],
  send({ at, hmac }) {
    const body = JSON.stringify(content);
    const [id, time] = ['e76c6bd4', at.toISOString()];
    const named = {
      'Twitch-Eventsub-Message-Type': type,
      'Twitch-Eventsub-Subscription-Type': content.subscription.type ?? 'x',
    };
    const covered = { 'Twitch-Eventsub-Message-Id': id, 'Twitch-Eventsub-Message-Timestamp': time };
    return json(
      { ...named, ...covered, 'Twitch-Eventsub-Message-Signature': `sha256=${hmac(id + time + body, 'hex')}` },
      body,
    );
  },
});

export default {
  provider: 'twitch',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      client: { id: 'hof5gwx0su6owfnys0nyan9c87zr6t' },
      scopes: ['channel:manage:polls', 'user:read:email'],
      lifetime: 14_124,
      authorize: { url: 'https://id.twitch.tv/oauth2/authorize', params: { force_verify: /^(true|false)$/ } },
      token: {
        url,
        respond: ({ body, scopes }: IssuedTokens) => ({ ...body, scope: scopes, token_type: 'bearer' }),
        errors: {
          deadGrant: reply(400, { error: 'Bad Request', status: 400, message: 'Invalid refresh token' }),
          invalidClient: client,
        },
      },
      refresh: { rotation: 'sometimes' },
      lookups: [
        {
          url: 'https://id.twitch.tv/oauth2/validate',
          tokenType: ['OAuth', 'Bearer'],
          answer: {
            client_id: 'hof5gwx0su6owfnys0nyan9c87zr6t',
            login: 'twitchdev',
            scopes: ['channel:manage:polls', 'user:read:email'],
            user_id: '141981764',
            expires_in: 14_120,
          },
        },
      ],
      revoke: {
        url: 'https://id.twitch.tv/oauth2/revoke',
        clientAuth: 'id_only',
        params: { client_id: '{client_id}', token: '{access_token}' },
      },
      api: { url: 'https://api.twitch.tv/helix/users', ...helix },
      account: { issuer: 'https://id.twitch.tv', id: '141981764', name: 'twitchdev' },
      captured: { user_id: '141981764', login: 'twitchdev' },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      lifetime: 5_011_271,
      token: {
        url,
        respond: ({ access }: IssuedTokens) => ({ access_token: access, expires_in: 5_011_271, token_type: 'bearer' }),
        errors: { invalidClient: client },
      },
      api: { url: 'https://api.twitch.tv/helix/games/top', ...helix },
    },
  ],
  webhooks: [
    {
      name: 'authorization revoked',
      ...signed('notification', {
        subscription: { id: 's1', type: 'user.authorization.revoke', condition: { client_id: 'c1' } },
        event: { client_id: 'c1', user_id: '1337' },
      }),
      covers: [
        'body',
        'key',
        'algorithm',
        'time',
        'header:Twitch-Eventsub-Message-Signature',
        'header:Twitch-Eventsub-Message-Id',
        'header:Twitch-Eventsub-Message-Timestamp',
      ],
      event: {
        id: 'e76c6bd4',
        type: 'user.authorization.revoke',
        locator: 'captured.user_id=1337',
        deauthorization: true,
      },
    },
    {
      name: 'subscription revoked',
      ...signed('revocation', {
        subscription: {
          id: 's1',
          status: 'authorization_revoked',
          type: 'channel.follow',
          condition: { broadcaster_user_id: '12826' },
        },
      }),
      event: { locator: 'captured.user_id=12826', deauthorization: true },
    },
    {
      name: 'callback verification',
      ...signed('webhook_callback_verification', {
        challenge: 'pogchamp-kappa-360noscope-vohiyo',
        subscription: { id: 's1' },
      }),
      covers: ['body', 'key', 'algorithm', 'time'],
      handshake: { body: 'pogchamp-kappa-360noscope-vohiyo' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: 'https://id.twitch.tv/oauth2/validate',
        tokenType: 'OAuth',
        answer: { client_id: 'c1', user_id: '141981764', login: 'twitchdev' },
        unauthorized: reply(401, { status: 401, message: 'invalid access token' }),
      },
      {
        modes: ['oauth2_client_credentials'],
        url: 'https://id.twitch.tv/oauth2/validate',
        tokenType: 'OAuth',
        answer: { client_id: 'c1', scopes: null },
        unauthorized: reply(401, { status: 401, message: 'invalid access token' }),
        account: 'c1',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { error: 'Too Many Requests', status: 429 },
          { 'ratelimit-limit': '800', 'ratelimit-remaining': '0', 'ratelimit-reset': '1795910414' },
        ),
        wait: 14,
      },
    ],
  },
} satisfies Vendor;
