// developers.telnyx.com/api-reference/oauth-protocol/oauth-token-endpoint, …/oauth-authorization-endpoint,
// …/development/authentication, …/development/api-fundamentals/rate-limiting

import { type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { ed25519Keys, json } from '../emulator/webhook.ts';

const token = {
  url: 'https://api.telnyx.com/v2/oauth/token',
  clientAuth: ['post', 'basic'],
  errors: {
    deadGrant: reply(400, { error: 'invalid_grant', error_description: 'The refresh token is invalid.' }),
    invalidClient: reply(401, { error: 'invalid_client', error_description: 'Client authentication failed' }),
    rateLimited: reply(
      429,
      { errors: [{ code: '10011', title: 'Too many requests', detail: 'You have exceeded the rate limit.' }] },
      { 'x-ratelimit-limit': '20', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' },
    ),
  },
} satisfies MintedRow['token'];
const api = {
  url: 'https://api.telnyx.com/v2/phone_numbers',
  answer: { data: [], meta: { page_number: 1, total_pages: 0 } },
  unauthorized: reply(401, { errors: [{ code: '10009', title: 'Authentication failed' }] }),
};

const own = ed25519Keys('base64');

export default {
  provider: 'telnyx',
  rows: [
    {
      flow: 'static',
      mode: 'api_key',
      credentials: { api_key: 'KEY0190000000000000EXAMPLE_abcDEF0123456789' },
      api,
    },
    {
      flow: 'code',
      mode: 'oauth2_code',
      scopes: ['admin'],
      authorize: { url: 'https://api.telnyx.com/v2/oauth/authorize' },
      token,
      refresh: { rotation: 'sometimes' },
      api,
    },
    { flow: 'minted', mode: 'oauth2_client_credentials', scopes: ['admin'], token: withoutDeadGrant(token), api },
    {
      flow: 'minted',
      mode: 'customer_client',
      client: { configuredAs: [] },
      scopes: ['admin'],
      token: { ...token, errors: { ...token.errors, deadGrant: token.errors.invalidClient } },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      api,
    },
  ],
  webhooks: [
    {
      name: 'message',
      secrets: [own.publicKey],
      keys: own.keys,
      send({ seconds, sign }) {
        const body = JSON.stringify({
          data: { id: '0ccc7b54', event_type: 'message.received', payload: { organization_id: 'o1' } },
          meta: { attempt: 1 },
        });
        return json(
          { 'telnyx-signature-ed25519': sign(`${seconds}|${body}`, 'base64', null), 'telnyx-timestamp': seconds },
          body,
        );
      },
      covers: ['body', 'key', 'time', 'header:telnyx-signature-ed25519', 'header:telnyx-timestamp'],
      event: { id: '0ccc7b54', type: 'message.received' },
    },
  ],
  calls: {
    checks: [
      { url: 'https://api.telnyx.com/v2/balance', answer: { data: { balance: '300.00', record_type: 'balance' } } },
    ],
    limits: [
      {
        answer: reply(
          429,
          { errors: [{ code: '10011' }] },
          { 'x-ratelimit-limit': '200', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '7' },
        ),
        wait: 7,
      },
    ],
  },
} satisfies Vendor;

/** Without a dead grant: the client is the integration's own. */
function withoutDeadGrant({ errors: { deadGrant: _, ...errors }, ...call }: typeof token) {
  return { ...call, errors };
}
