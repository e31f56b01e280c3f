// mailchimp.com/developer/marketing/guides/access-user-data-oauth-2, …/docs/fundamentals

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { form } from '../emulator/webhook.ts';

export default {
  provider: 'mailchimp',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      lifetime: null,
      authorize: { url: 'https://login.mailchimp.com/oauth2/authorize', separator: null },
      token: {
        url: 'https://login.mailchimp.com/oauth2/token',
        respond: ({ access }: IssuedTokens) => ({ access_token: access, expires_in: 0, scope: null }),
      },
      lookups: [
        {
          url: 'https://login.mailchimp.com/oauth2/metadata',
          tokenType: 'OAuth',
          answer: {
            dc: 'us6',
            role: 'owner',
            accountname: 'Freddie',
            user_id: 1,
            login: { email: 'freddie@example.com', login_id: 101 },
            login_url: 'https://login.mailchimp.com',
            api_endpoint: 'https://us6.api.mailchimp.com',
          },
        },
      ],
      api: { url: 'https://us6.api.mailchimp.com/3.0/' },
      account: { issuer: 'https://login.mailchimp.com', id: '101', name: 'Freddie' },
      captured: { dc: 'us6', api_endpoint: 'https://us6.api.mailchimp.com' },
    },
    {
      flow: 'static',
      mode: 'basic',
      connection: { dc: 'us6' },
      credentials: { api_key: '0123456789abcdef0123456789abcdef-us6' },
      // Any user name does.
      served: Buffer.from('anystring:0123456789abcdef0123456789abcdef-us6').toString('base64'),
      api: { url: 'https://us6.api.mailchimp.com/3.0/', tokenType: 'Basic' },
    },
  ],
  webhooks: [
    {
      name: 'Mandrill',
      secrets: ['webhook authentication key'],
      send({ url, hmac }) {
        const events = JSON.stringify([
          { event: 'open', _id: 'm1', ts: 1 },
          { event: 'click', _id: 'm1', ts: 2 },
        ]);
        return form(
          { 'X-Mandrill-Signature': hmac(`${url}mandrill_events${events}`, 'base64', 'sha1') },
          { mandrill_events: events },
        );
      },
      covers: ['body', 'url', 'key', 'algorithm', 'header:X-Mandrill-Signature'],
      event: { count: 2, id: 'm1:open:1', type: 'open' },
    },
    {
      name: 'Marketing webhook',
      hook: true,
      send: () =>
        form(
          {},
          {
            type: 'subscribe',
            fired_at: '2026-11-28 10:00:00',
            'data[id]': '8a25ff1d98',
            'data[list_id]': 'a6b5da1054',
          },
        ),
      covers: [],
      event: { id: 'subscribe:8a25ff1d98:2026-11-28 10:00:00', type: 'subscribe' },
      isAuthenticated: false,
    },
    { name: 'GET', hook: true, send: () => ({ method: 'GET', headers: {}, body: '' }), covers: [], handshake: {} },
  ],
  calls: {
    checks: [
      {
        url: 'https://us6.api.mailchimp.com/3.0/ping',
        answer: { health_status: "Everything's Chimpy!" },
        unauthorized: reply(401, { title: 'API Key Invalid', status: 401 }),
      },
    ],
    limits: [{ answer: reply(429, { title: 'Too Many Requests', status: 429 }), wait: 5 }],
  },
} satisfies Vendor;
