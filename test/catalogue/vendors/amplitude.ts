// amplitude.com/docs/apis/authentication, …/docs/apis/analytics/dashboard-rest, …/docs/apis/analytics/http-v2

import { reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const KEY = '0123456789abcdef0123456789abcdef';

export default {
  provider: 'amplitude',
  rows: [
    {
      flow: 'static',
      mode: 'basic',
      connection: { region: 'eu' },
      credentials: { api_key: KEY, secret_key: 'fedcba9876543210fedcba9876543210' },
      served: Buffer.from(`${KEY}:fedcba9876543210fedcba9876543210`).toString('base64'),
      api: { url: 'https://analytics.eu.amplitude.com/api/2/events/list', tokenType: 'Basic' },
    },
    {
      flow: 'static',
      mode: 'ingestion',
      credentials: { api_key: KEY },
      api: {
        url: 'https://api2.amplitude.com/2/httpapi',
        method: 'POST',
        tokenType: 'body:api_key',
        answer: { code: 200, events_ingested: 1, payload_size_bytes: 50, server_upload_time: 1_396_381_378_123 },
        unauthorized: reply(400, { code: 400, error: 'Invalid API key', missing_field: 'api_key' }),
      },
    },
  ],
  webhooks: [
    {
      name: 'event streaming',
      secrets: ['t0ken-of-our-own'],
      send: ({ key }) => json({ 'X-Webhook-Token': key }, { insert_id: 'i1', event_type: 'click' }),
      covers: ['key', 'header:X-Webhook-Token'],
      event: { id: 'i1', type: 'click' },
    },
  ],
  calls: {
    checks: [{ modes: ['basic'], url: 'https://analytics.eu.amplitude.com/api/2/events/list', answer: { data: [] } }],
    limits: [{ answer: reply(429, { code: 429, throttled_devices: { d1: 31 } }), wait: 30 }],
  },
} satisfies Vendor;
