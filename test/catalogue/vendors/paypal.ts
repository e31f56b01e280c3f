// developer.paypal.com/api/rest/authentication, …/log-in/build-button, …/log-in/build, …/api/rest/responses, and the
// Postman collection of github.com/paypal (terminate an access token)
import { crc32 } from 'node:zlib';
import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, rsa, type Sending } from '../emulator/webhook.ts';

const failed = (status: number, error: string, error_description: string) =>
  reply(status, { error, error_description });
const client = failed(401, 'invalid_client', 'Client Authentication failed');
const busy = reply(429, {
  name: 'RATE_LIMIT_REACHED',
  message: 'Too many requests. Blocked due to rate limiting.',
  debug_id: 'abcdef0123456',
});
const GRANTED = ['https://uri.paypal.com/services/invoicing', 'https://api.paypal.com/v1/payments/.*', 'openid'];
const refusal = reply(401, { error: 'invalid_token', error_description: 'Token signature verification failed' });
const token = {
  url: 'https://api-m.paypal.com/v1/oauth2/token',
  clientAuth: 'basic_raw',
  answer: ({ access }: IssuedTokens) => ({
    scope: GRANTED.join(' '),
    access_token: access,
    token_type: 'Bearer',
    app_id: 'APP-80W284485P519543T',
    expires_in: 31_668,
    nonce: '2026-11-22T15:35:36ZExample',
  }),
  errors: { invalidClient: client, rateLimited: busy },
} as const;
const minted = {
  flow: 'minted',
  granted: GRANTED,
  tokens: { access: 'A21AA' },
  lifetime: 31_668,
  token,
  api: { url: 'https://api-m.paypal.com/v2/invoicing/invoices', unauthorized: refusal },
} as const;

export const transmission =
  (certificate: string, host = 'api.paypal.com') =>
  ({ at, sign }: Sending) => {
    const body = JSON.stringify({
      id: 'WH-1',
      event_type: 'IDENTITY.AUTHORIZATION-CONSENT.REVOKED',
      resource: { payer_id: 'WDJJHEBZ4X2LY' },
    });
    const [id, time] = ['dfb3be50-fd74-11e4-8bf3-77339302725b', at.toISOString().replace(/\.\d+/, '')];
    return json(
      {
        'PAYPAL-TRANSMISSION-ID': id,
        'PAYPAL-TRANSMISSION-TIME': time,
        'PAYPAL-CERT-URL': `https://${host}/v1/notifications/certs/${certificate}`,
        'PAYPAL-AUTH-ALGO': 'SHA256withRSA',
        'PAYPAL-TRANSMISSION-SIG': sign(`${id}|${time}|4JH86294D6297924G|${crc32(body)}`, 'base64', 'sha256'),
      },
      body,
    );
  };

export default {
  provider: 'paypal',
  rows: [
    { ...minted, mode: 'oauth2_client_credentials' },
    {
      ...minted,
      mode: 'customer_client',
      variant: 'sandbox',
      client: { configuredAs: [] },
      params: { environment: 'sandbox' },
      token: {
        ...token,
        url: 'https://api-m.sandbox.paypal.com/v1/oauth2/token',
        errors: { ...token.errors, deadGrant: client },
      },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      api: { url: 'https://api-m.sandbox.paypal.com/v2/invoicing/invoices', unauthorized: refusal },
    },
    {
      flow: 'code',
      mode: 'log_in_with_paypal',
      scopes: ['openid', 'email', 'https://uri.paypal.com/services/paypalattributes'],
      tokens: { access: 'A23AA', refresh: 'R23AA' },
      lifetime: 28_800,
      authorize: {
        url: 'https://www.paypal.com/signin/authorize',
        params: { flowEntry: 'static', nonce: null },
        callback: ({ scopes }) => ({ scope: scopes.join(' ') }),
      },
      token: {
        ...token,
        params: { redirect_uri: null },
        // Numbers are texts here, and the ID token is signed with the secret.
        respond: ({ access, refresh }: IssuedTokens) => ({
          token_type: 'Bearer',
          expires_in: '28800',
          refresh_token: refresh,
          id_token: 'eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL3d3dy5wYXlwYWwuY29tIn0.c2lnbmF0dXJl',
          access_token: access,
        }),
        errors: {
          deadGrant: failed(400, 'invalid_grant', 'Invalid refresh token'),
          invalidClient: client,
          rateLimited: busy,
        },
      },
      refresh: {
        rotation: 'omitted',
        respond: ({ access }: IssuedTokens) => ({ token_type: 'Bearer', expires_in: '28800', access_token: access }),
      },
      revoke: { url: 'https://api-m.paypal.com/v1/oauth2/token/terminate' },
      api: {
        url: 'https://api-m.paypal.com/v1/identity/oauth2/userinfo?schema=paypalv1.1',
        answer: {
          user_id: 'https://www.paypal.com/webapps/auth/identity/user/mWq6_1sU85v5EG9yHdPxJRrhGHrnMJ-1PQKtX6pcsmA',
          name: 'identity test',
          payer_id: 'WDJJHEBZ4X2LY',
        },
        unauthorized: refusal,
      },
      account: {
        issuer: 'https://paypal.com',
        id: 'https://www.paypal.com/webapps/auth/identity/user/mWq6_1sU85v5EG9yHdPxJRrhGHrnMJ-1PQKtX6pcsmA',
        name: 'identity test',
      },
    },
  ],
  webhooks: [
    {
      name: 'consent revoked',
      secrets: ['4JH86294D6297924G'],
      keys: rsa,
      send: transmission('CERT-1'),
      covers: [
        'body',
        'key',
        'algorithm',
        'time',
        'header:PAYPAL-TRANSMISSION-SIG',
        'header:PAYPAL-TRANSMISSION-ID',
        'header:PAYPAL-TRANSMISSION-TIME',
        'header:PAYPAL-CERT-URL',
        'header:PAYPAL-AUTH-ALGO',
      ],
      event: {
        id: 'WH-1',
        type: 'IDENTITY.AUTHORIZATION-CONSENT.REVOKED',
        locator: 'captured.payer_id=WDJJHEBZ4X2LY',
        deauthorization: true,
      },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['log_in_with_paypal'],
        url: 'https://api-m.paypal.com/v1/identity/openidconnect/userinfo?schema=openid',
        answer: {
          user_id: 'https://www.paypal.com/webapps/auth/identity/user/mWq6_1sU85v5EG9yHdPxJRrhGHrnMJ-1PQKtX6pcsmA',
        },
      },
      {
        modes: ['oauth2_client_credentials', 'customer_client'],
        url: [
          'https://api-m.paypal.com/v1/notifications/webhooks',
          'https://api-m.sandbox.paypal.com/v1/notifications/webhooks',
        ],
        answer: { webhooks: [] },
      },
    ],
    limits: [{ answer: reply(429, { name: 'RATE_LIMIT_REACHED', message: 'Too many requests.' }), wait: 1 }],
  },
} satisfies Vendor;
