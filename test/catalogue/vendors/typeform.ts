// typeform.com/developers/get-started/applications, …/get-started/scopes, …/get-started/responses-data-center,
// …/get-started/mcp

import { type CodeRow, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

/** Consent and tokens are at one host, the API may be at another. */
const row = (issuer: string, api = issuer) =>
  ({
    flow: 'code',
    mode: 'oauth2_code',
    scopes: ['accounts:read', 'forms:read', 'offline'],
    lifetime: 604_800,
    authorize: { url: `https://${issuer}/oauth/authorize`, pkce: 'refused', params: { response_type: null } },
    token: { url: `https://${issuer}/oauth/token` },
    refresh: { rotation: 'single_use', params: { scope: 'accounts:read forms:read offline' } },
    lookups: [
      {
        url: `https://${api}/me`,
        answer: { user_id: '01ABC', alias: 'ada', email: 'ada@example.com', language: 'en' },
      },
    ],
    account: { issuer: `https://${api}`, id: '01ABC', name: 'ada@example.com' },
    api: {
      url: `https://${api}/forms`,
      answer: { total_items: 0, page_count: 0, items: [] },
      unauthorized: reply(403, { code: 'AUTHENTICATION_FAILED', description: 'Authentication failed' }),
    },
  }) satisfies CodeRow;

export default {
  provider: 'typeform',
  rows: [
    row('api.typeform.com'),
    { ...row('api.typeform.com', 'api.eu.typeform.com'), variant: 'EU', connection: { region: 'eu' } },
    {
      ...row('api.typeform.eu'),
      variant: 'EU of its own',
      params: { authorization_server: 'eu' },
      connection: { region: 'eu2' },
    },
  ],
  webhooks: [
    {
      name: 'response',
      secrets: ['secret of the webhook'],
      ...signedBody(
        'Typeform-Signature',
        { prefix: 'sha256=', encoding: 'base64' },
        { event_id: 'LtWXD3crgy1', event_type: 'form_response', form_response: { form_id: 'lT4Z3j' } },
      ),
      event: { id: 'LtWXD3crgy1', type: 'form_response' },
    },
  ],
  calls: {
    checks: [
      {
        url: ['https://api.typeform.com/me', 'https://api.eu.typeform.com/me', 'https://api.typeform.eu/me'],
        answer: { user_id: '01ABC', alias: 'ada' },
      },
    ],
    limits: [{ answer: reply(429, { code: 'TOO_MANY_REQUESTS' }), wait: 1 }],
  },
} satisfies Vendor;
