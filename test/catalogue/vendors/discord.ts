// docs.discord.com/developers/topics/oauth2, …/reference#authentication, …/reference#user-agent, …/topics/rate-limits

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { ed25519Keys, json, type VendorWebhook } from '../emulator/webhook.ts';

const GUILD = '290926798626357999';
const params = { app_url: 'https://bot.example.com' };
const url = 'https://discord.com/api/oauth2/token';
const client = ['basic_raw', 'post'] satisfies CodeRow['token']['clientAuth'];
const errors = {
  deadGrant: reply(400, { error: 'invalid_grant', error_description: 'Invalid "refresh_token" in request.' }),
  invalidClient: reply(401, { error: 'invalid_client' }),
  rateLimited: reply(
    429,
    { message: 'You are being rate limited.', retry_after: 64.57, global: false },
    { 'retry-after': '65', 'x-ratelimit-remaining': '0', 'x-ratelimit-scope': 'user' },
  ),
};
const api = {
  headers: { 'user-agent': /^DiscordBot \(https:\/\/bot\.example\.com, \S+\)/ },
  unauthorized: reply(401, { message: '401: Unauthorized', code: 0 }),
};

const row = {
  flow: 'code',
  mode: 'oauth2_code',
  client: { id: '157730590492196864', secret: '937it3ow87i4ery69876wqire-_x' },
  params,
  scopes: ['identify', 'email'],
  lifetime: 604_800,
  authorize: { url: 'https://discord.com/oauth2/authorize' },
  token: { url, clientAuth: client, errors },
  refresh: { rotation: 'single_use' },
  // Of the user's tokens for this app, any ends all.
  revoke: { url: 'https://discord.com/api/oauth2/token/revoke', clientAuth: client, answer: {}, ends: 'grant' },
  lookups: [
    {
      url: 'https://discord.com/api/oauth2/@me',
      answer: { scopes: ['identify'], user: { id: '268473310986240001', username: 'discord' } },
    },
  ],
  account: { issuer: 'https://discord.com', id: '268473310986240001', name: 'discord' },
  api: { url: 'https://discord.com/api/v10/users/@me', ...api },
} satisfies CodeRow;

const own = ed25519Keys('hex');
const signed = (content: object): Pick<VendorWebhook, 'secrets' | 'keys' | 'send'> => ({
  secrets: [own.publicKey],
  keys: own.keys,
  send({ seconds, sign }) {
    const body = JSON.stringify(content);
    return json({ 'X-Signature-Ed25519': sign(seconds + body, 'hex', null), 'X-Signature-Timestamp': seconds }, body);
  },
});

export default {
  provider: 'discord',
  rows: [
    row,
    {
      ...row,
      variant: 'bot and webhook',
      params: { ...params, prompt: 'consent', permissions: '2048', integration_type: 'guild' },
      connection: { guild_id: '290926798626357000' },
      scopes: ['bot', 'webhook.incoming', 'identify'],
      authorize: {
        ...row.authorize,
        params: { prompt: 'consent', permissions: '2048', integration_type: '0', guild_id: '290926798626357000' },
        // The owner may choose another server.
        callback: () => ({ guild_id: GUILD, permissions: '2048' }),
      },
      token: {
        ...row.token,
        respond: ({ body, grant }: IssuedTokens) => ({
          ...body,
          ...(grant === 'code' && {
            guild: { id: GUILD, name: 'A server', owner_id: '53908232506183680', features: [], roles: [] },
            webhook: {
              application_id: '310954232226357250',
              name: 'testwebhook',
              url: 'https://discord.com/api/webhooks/347114750880120863/kKDdjXa1g9tKNs0-_yOwLyALC9gydEWP6gr9sHabuK1vuofjhQDDnlOclJeRIvYK-pj_',
              channel_id: '345626669224982402',
              token: 'kKDdjXa1g9tKNs0-_yOwLyALC9gydEWP6gr9sHabuK1vuofjhQDDnlOclJeRIvYK-pj_',
              type: 1,
              avatar: null,
              guild_id: GUILD,
              id: '347114750880120863',
            },
          }),
        }),
      },
      captured: {
        guild_id: GUILD,
        guild_name: 'A server',
        granted_permissions: '2048',
        webhook_id: '347114750880120863',
        webhook_channel_id: '345626669224982402',
      },
    },
    {
      flow: 'static',
      mode: 'bot_token',
      params,
      credentials: { api_key: 'MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs' },
      api: { url: 'https://discord.com/api/v10/gateway/bot', tokenType: 'Bot', ...api },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      client: row.client,
      params,
      scopes: ['identify', 'connections'],
      lifetime: 604_800,
      token: {
        url,
        clientAuth: 'basic_raw',
        errors: { invalidClient: errors.invalidClient, rateLimited: errors.rateLimited },
      },
      api: { url: 'https://discord.com/api/v10/users/@me', ...api },
    },
  ],
  webhooks: [
    {
      name: 'application deauthorized',
      ...signed({
        version: 1,
        application_id: '1',
        type: 1,
        event: {
          type: 'APPLICATION_DEAUTHORIZED',
          timestamp: '2026-11-28T10:00:00.000Z',
          data: { user: { id: '157730590492196864' } },
        },
      }),
      covers: ['body', 'key', 'time', 'header:X-Signature-Ed25519', 'header:X-Signature-Timestamp'],
      event: {
        type: 'APPLICATION_DEAUTHORIZED',
        locator: 'captured.user_id=157730590492196864',
        deauthorization: true,
      },
      answer: { status: 204 },
    },
    {
      name: 'webhook ping',
      ...signed({ version: 1, application_id: '1', type: 0 }),
      covers: ['body', 'key', 'time'],
      handshake: { status: 204, body: null },
    },
    {
      name: 'interaction ping',
      ...signed({ id: '2', application_id: '1', type: 1 }),
      covers: ['body', 'key', 'time'],
      handshake: { body: '{"type":1}' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: 'https://discord.com/api/v10/users/@me',
        answer: { id: '268473310986240001', username: 'discord' },
        unauthorized: reply(401, { message: '401: Unauthorized', code: 0 }),
      },
      {
        modes: ['bot_token', 'oauth2_client_credentials'],
        url: 'https://discord.com/api/v10/users/@me',
        answer: { id: '268473310986240001', username: 'discord' },
        unauthorized: reply(401, { message: '401: Unauthorized', code: 0 }),
        account: '268473310986240001',
      },
      {
        modes: ['oauth2_code'],
        url: 'https://discord.com/api/v10/oauth2/@me',
        answer: { scopes: ['bot'], application: { id: '1' } },
        unauthorized: reply(401, { message: '401: Unauthorized', code: 0 }),
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { message: 'You are being rate limited.', retry_after: 64.57, global: false },
          {
            'x-ratelimit-limit': '10',
            'x-ratelimit-remaining': '0',
            'x-ratelimit-reset-after': '64.57',
            'x-ratelimit-scope': 'user',
          },
        ),
        wait: 64.57,
      },
    ],
  },
} satisfies Vendor;
