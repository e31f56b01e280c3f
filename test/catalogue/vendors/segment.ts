// segment.com/docs/connections/oauth, docs.segmentapis.com, and @segment/analytics-node's token manager

import { reply, type Vendor } from '../emulator/vendor.ts';
import { json, signedBody } from '../emulator/webhook.ts';

export default {
  provider: 'segment',
  rows: [
    {
      flow: 'static',
      mode: 'public_api_token',
      connection: { region: 'eu1' },
      credentials: { api_key: 'sgp_example' },
      api: { url: 'https://eu1.api.segmentapis.com/sources' },
    },
    {
      flow: 'static',
      mode: 'tracking_write_key',
      credentials: { write_key: 'WRITEKEYexample0123' },
      served: Buffer.from('WRITEKEYexample0123:').toString('base64'),
      api: { method: 'POST', url: 'https://api.segment.io/v1/track', tokenType: 'Basic' },
    },
    {
      flow: 'minted',
      mode: 'tracking_oauth',
      client: { configuredAs: ['client_id', 'private_key', 'key_id'] },
      scopes: ['tracking_api:write'],
      token: {
        url: 'https://oauth2.segment.io/token',
        clientAuth: 'private_key_jwt',
        clientAssertion: {
          header: { kid: '{key_id}' },
          claims: { aud: 'https://oauth2.segment.io' },
          maxLifetime: 300,
        },
      },
      api: { method: 'POST', url: 'https://api.segment.io/v1/track' },
    },
    {
      flow: 'code',
      mode: 'partner_app',
      authorize: { url: 'https://id.segmentapis.com/oauth2/auth' },
      token: { url: 'https://id.segmentapis.com/oauth2/token', clientAuth: 'basic' },
      api: { url: 'https://platform.segmentapis.com/v1beta/workspaces' },
    },
  ],
  webhooks: [
    {
      name: 'signed',
      secrets: ['shared-secret'],
      ...signedBody('X-Signature', { hash: 'sha1' }, { messageId: 'm1', type: 'track', event: 'Order 1' }),
      event: { id: 'm1', type: 'track' },
    },
    {
      name: 'without a secret',
      hook: true,
      send: () => json({}, { messageId: 'm2', type: 'identify' }),
      covers: [],
      event: { id: 'm2' },
      isAuthenticated: false,
    },
  ],
  calls: {
    checks: [
      {
        modes: ['public_api_token'],
        url: 'https://eu1.api.segmentapis.com/',
        answer: { data: { workspace: { id: '9aQ1Lj62S4bomZKLF4DPqW' } } },
        account: '9aQ1Lj62S4bomZKLF4DPqW',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { errors: [{ type: 'rate-limit' }] },
          { 'x-ratelimit-limit': '200', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '11' },
        ),
        wait: 11,
      },
    ],
  },
} satisfies Vendor;
