// developers.zoom.us/docs/integrations/oauth, …/docs/internal-apps/s2s-oauth, …/docs/api/rate-limits
import { createHmac } from 'node:crypto';
import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, type VendorWebhook } from '../emulator/webhook.ts';

const TOKEN_URL = 'https://zoom.us/oauth/token';
const client = reply(400, { reason: 'Invalid client_id or client_secret', error: 'invalid_client' });
const refusal = reply(401, { code: 124, message: 'Access token is expired.' });
const respondWith =
  (api_url: string) =>
  ({ body }: IssuedTokens) => ({ ...body, token_type: 'bearer', api_url });
const row = {
  flow: 'code',
  mode: 'oauth2_code',
  // Fixed on the app.
  granted: ['meeting:read:meeting', 'user:read:user'],
  tokens: { jwt: true, refresh: 'eyJzdiI6.' },
  lifetime: 3_599,
  authorize: { url: 'https://zoom.us/oauth/authorize' },
  token: {
    url: TOKEN_URL,
    clientAuth: 'basic_raw',
    respond: respondWith('https://api.zoom.us'),
    errors: {
      deadGrant: reply(400, { reason: 'Invalid Token!', error: 'invalid_grant' }),
      invalidClient: client,
      rateLimited: reply(429, {
        code: 429,
        message: 'You have reached the maximum per-second rate limit for this API.',
      }),
    },
  },
  refresh: { rotation: 'single_use' },
  // Of the access token.
  revoke: {
    url: 'https://zoom.us/oauth/revoke',
    params: { token: '{access_token}', token_type_hint: null },
    answer: { status: 'success' },
  },
  lookups: [
    {
      url: 'https://api.zoom.us/v2/users/me',
      answer: { id: 'KDcuGIm1QgePTO8WbOqwIQ', account_id: 'EPeQtiABC000VYxHMA', email: 'jchill@example.com' },
    },
  ],
  account: { issuer: 'https://zoom.us', id: 'KDcuGIm1QgePTO8WbOqwIQ', name: 'jchill@example.com' },
  api: {
    url: 'https://api.zoom.us/v2/users/me',
    answer: { id: 'KDcuGIm1QgePTO8WbOqwIQ', email: 'jchill@example.com' },
    unauthorized: refusal,
  },
  captured: { api_url: 'https://api.zoom.us', account_id: 'EPeQtiABC000VYxHMA' },
} satisfies CodeRow;

const SECRET = 'secret token of the app';
const signed = (content: object): Pick<VendorWebhook, 'secrets' | 'send'> => ({
  secrets: [SECRET],
  send({ seconds, hmac }) {
    const body = JSON.stringify(content);
    return json(
      { 'x-zm-signature': `v0=${hmac(`v0:${seconds}:${body}`, 'hex')}`, 'x-zm-request-timestamp': seconds },
      body,
    );
  },
});

export default {
  provider: 'zoom',
  rows: [
    row,
    {
      ...row,
      variant: 'EU',
      token: { ...row.token, respond: respondWith('https://api-eu.zoom.us') },
      api: { ...row.api, url: 'https://api-eu.zoom.us/v2/users/me' },
      captured: { api_url: 'https://api-eu.zoom.us' },
    },
    {
      flow: 'minted',
      mode: 'server_to_server',
      client: { id: 'Uq7fZbK3RkW2mT9vXy1aLg', configuredAs: [] },
      connection: { account_id: 'Kx3vQz7mTtWn1uLb0dYe5A' },
      granted: ['user:read:user:admin'],
      tokens: { jwt: true },
      token: {
        url: TOKEN_URL,
        clientAuth: 'basic_raw',
        params: { grant_type: 'account_credentials', account_id: 'Kx3vQz7mTtWn1uLb0dYe5A' },
        respond: respondWith('https://api-us.zoom.us'),
        errors: { deadGrant: client, invalidClient: client },
      },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      api: { url: 'https://api-us.zoom.us/v2/users', unauthorized: refusal },
      captured: { api_url: 'https://api-us.zoom.us' },
    },
  ],
  webhooks: [
    {
      name: 'app deauthorized',
      ...signed({
        event: 'app_deauthorized',
        event_ts: 1_768_000_000_000,
        payload: { account_id: 'EPeQtiABC000VYxHMA', user_id: 'KDcuGIm1QgePTO8WbOqwIQ', client_id: 'c1' },
      }),
      covers: ['body', 'key', 'algorithm', 'time', 'header:x-zm-signature', 'header:x-zm-request-timestamp'],
      event: {
        id: null,
        type: 'app_deauthorized',
        locator: 'captured.user_id=KDcuGIm1QgePTO8WbOqwIQ',
        deauthorization: true,
      },
    },
    {
      name: 'URL validation',
      ...signed({ event: 'endpoint.url_validation', payload: { plainToken: 'qgg8vlvZRS6UYooatFL8Aw' } }),
      covers: ['body', 'key', 'algorithm', 'time'],
      handshake: {
        body: JSON.stringify({
          plainToken: 'qgg8vlvZRS6UYooatFL8Aw',
          encryptedToken: createHmac('sha256', SECRET).update('qgg8vlvZRS6UYooatFL8Aw').digest('hex'),
        }),
      },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: ['https://api.zoom.us/v2/users/me', 'https://api-eu.zoom.us/v2/users/me'],
        answer: { id: 'KDcuGIm1QgePTO8WbOqwIQ', account_id: 'EPeQtiABC000VYxHMA' },
        unauthorized: reply(401, { code: 124, message: 'Invalid access token.' }),
      },
      {
        modes: ['server_to_server'],
        url: 'https://api-us.zoom.us/v2/users/me',
        answer: { id: 'own', account_id: 'Kx3vQz7mTtWn1uLb0dYe5A' },
        unauthorized: reply(401, { code: 124, message: 'Invalid access token.' }),
        account: 'own',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { code: 429, message: 'You have reached the maximum daily rate limit for this API.' },
          {
            'x-ratelimit-type': 'Daily-limit',
            'x-ratelimit-limit': '1000',
            'x-ratelimit-remaining': '0',
            'retry-after': '2026-11-29T00:10:00Z',
          },
        ),
        wait: 600,
      },
    ],
  },
} satisfies Vendor;
