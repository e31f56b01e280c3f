// documentation.mailgun.com/docs/mailgun/api-reference/mg-auth, …/mailgun/api-reference/api-overview

import { reply, type StaticRow, type Vendor } from '../emulator/vendor.ts';
import { form, json } from '../emulator/webhook.ts';

const KEY = 'key-00000000000000000000000000000000-0a1b2c3d-4e5f6a7b';
const row = (host: string) =>
  ({
    flow: 'static',
    mode: 'basic',
    connection: { domain: 'mg.example.com' },
    credentials: { api_key: KEY },
    served: Buffer.from(`api:${KEY}`).toString('base64'),
    api: {
      url: `https://${host}/v3/mg.example.com/events`,
      tokenType: 'Basic',
      unauthorized: reply(401, 'Forbidden'),
    },
  }) satisfies StaticRow;

export default {
  provider: 'mailgun',
  rows: [
    row('api.mailgun.net'),
    { ...row('api.eu.mailgun.net'), variant: 'EU', connection: { domain: 'mg.example.com', region: 'eu' } },
  ],
  webhooks: [
    {
      name: 'event',
      secrets: ['key-3ax6xnjp29jd6fds4gc373sgvjxteol0'],
      send: ({ seconds, hmac }) =>
        json(
          {},
          {
            signature: { token: 'b'.repeat(50), timestamp: seconds, signature: hmac(seconds + 'b'.repeat(50), 'hex') },
            'event-data': { id: 'Ase7i2zsRYeDXztHGENqRA', event: 'delivered', domain: { name: 'mg.example.com' } },
          },
        ),
      covers: ['key', 'algorithm', 'time'],
      event: { id: 'Ase7i2zsRYeDXztHGENqRA', type: 'delivered', locator: 'params.domain=mg.example.com' },
      isAuthenticated: false,
    },
    {
      name: 'inbound route',
      secrets: ['key-3ax6xnjp29jd6fds4gc373sgvjxteol0'],
      send: ({ seconds, hmac }) =>
        form(
          {},
          {
            domain: 'mg.example.com',
            timestamp: seconds,
            token: 't'.repeat(50),
            signature: hmac(seconds + 't'.repeat(50), 'hex'),
          },
        ),
      covers: ['key', 'algorithm', 'time'],
      event: { locator: 'params.domain=mg.example.com' },
      isAuthenticated: false,
    },
  ],
  calls: {
    checks: [
      {
        url: ['https://api.mailgun.net/v4/domains?limit=1', 'https://api.eu.mailgun.net/v4/domains?limit=1'],
        answer: { items: [], total_count: 0 },
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { message: 'Too Many Requests' },
          { 'x-ratelimit-limit': '300', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795910412000' },
        ),
        wait: 12,
      },
    ],
  },
} satisfies Vendor;
