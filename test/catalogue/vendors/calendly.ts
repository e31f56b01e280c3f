// developer.calendly.com: get-authorization-code, get-access-token, post-oauth-revoke, refresh-token-rotation-guide

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';
import { doorkeeper } from '../families/doorkeeper.ts';

const USER = 'https://api.calendly.com/users/AAAAAAAAAAAAAAAA';
const ORGANIZATION = 'https://api.calendly.com/organizations/BBBBBBBBBBBBBBBB';
const refusal = reply(401, { title: 'Unauthenticated', message: 'The access token is invalid' });
const api = { url: 'https://api.calendly.com/users/me', answer: { resource: { uri: USER } }, unauthorized: refusal };
const { token, ...rest } = doorkeeper('auth.calendly.com');

export default {
  provider: 'calendly',
  rows: [
    {
      ...rest,
      scopes: ['default'],
      token: {
        ...token,
        respond: (fresh: IssuedTokens) => ({ ...token.respond(fresh), owner: USER, organization: ORGANIZATION }),
      },
      refresh: { rotation: 'single_use' },
      api,
      account: { issuer: 'https://api.calendly.com', id: USER, name: null },
      captured: { user_uri: USER, organization_uri: ORGANIZATION },
    },
    {
      flow: 'static',
      mode: 'personal_access_token',
      credentials: { api_key: 'eyJraWQiOiJleGFtcGxlIn0.eyJpc3MiOiJodHRwczovL2F1dGguY2FsZW5kbHkuY29tIn0.c2lnbmVk' },
      api,
    },
  ],
  webhooks: [
    {
      name: 'invitee created',
      secrets: ['5mEzn9C-I28UtwOjZJtFoob0sAAFZ95GbZkqj4y3i0I'],
      send({ seconds, hmac }) {
        const body = JSON.stringify({
          event: 'invitee.created',
          created_at: '2026-11-28T10:00:00.000000Z',
          created_by: 'https://api.calendly.com/users/AAAA',
          payload: { uri: 'https://api.calendly.com/x' },
        });
        return json({ 'Calendly-Webhook-Signature': `t=${seconds},v1=${hmac(`${seconds}.${body}`, 'hex')}` }, body);
      },
      covers: ['body', 'key', 'algorithm', 'time', 'header:Calendly-Webhook-Signature'],
      event: { id: null, type: 'invitee.created', locator: 'captured.user_uri=https://api.calendly.com/users/AAAA' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.calendly.com/users/me',
        answer: { resource: { uri: 'https://api.calendly.com/users/AAAAAAAAAAAAAAAA' } },
        account: 'https://api.calendly.com/users/AAAAAAAAAAAAAAAA',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { title: 'Too Many Requests' },
          { 'x-ratelimit-limit': '60', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '21' },
        ),
        wait: 21,
      },
    ],
  },
} satisfies Vendor;
