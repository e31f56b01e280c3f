// docs.stripe.com/connect/oauth-reference, docs.stripe.com/stripe-apps/api-authentication/oauth, docs.stripe.com/keys

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const SECRET = 'sk_test_4eC39HqLyjWDarjtT1zdp7dc';
const connected = ({ body, access, refresh }: IssuedTokens) => ({
  ...body,
  access_token: access,
  livemode: false,
  refresh_token: refresh,
  token_type: 'bearer',
  stripe_publishable_key: 'pk_test_example',
  stripe_user_id: 'acct_1Example2Three',
});
const captured = { stripe_user_id: 'acct_1Example2Three', livemode: false };

export default {
  provider: 'stripe',
  rows: [
    {
      flow: 'code',
      mode: 'connect',
      client: { id: 'ca_FkyHCg7X8mlvCUdMDao4mMxagUfhIwXb', secret: SECRET },
      scopes: ['read_write'],
      tokens: { access: 'sk_test_', refresh: 'rt_' },
      lifetime: null,
      authorize: { url: 'https://connect.stripe.com/oauth/authorize' },
      token: { url: 'https://connect.stripe.com/oauth/token', params: { redirect_uri: null }, respond: connected },
      refresh: { rotation: 'same' },
      revoke: {
        url: 'https://connect.stripe.com/oauth/deauthorize',
        clientAuth: 'id_only',
        params: { client_id: '{client_id}', stripe_user_id: 'acct_1Example2Three' },
        headers: { authorization: `Bearer ${SECRET}` },
        answer: { stripe_user_id: 'acct_1Example2Three' },
        ends: 'account',
      },
      api: { url: 'https://api.stripe.com/v1/charges' },
      captured,
      account: { issuer: 'https://connect.stripe.com', id: 'acct_1Example2Three', name: null },
    },
    {
      flow: 'code',
      mode: 'stripe_apps',
      client: { id: 'ca_FkyHCg7X8mlvCUdMDao4mMxagUfhIwXb', secret: SECRET },
      tokens: { access: 'sk_test_', refresh: 'rt_' },
      authorize: { url: 'https://marketplace.stripe.com/oauth/v2/authorize', separator: null, pkce: 'refused' },
      token: {
        url: 'https://api.stripe.com/v1/oauth/token',
        clientAuth: 'secret_as_username',
        params: { redirect_uri: null },
        respond: connected,
        errors: { rateLimited: reply(429, { error: { type: 'rate_limit_error' } }) },
      },
      refresh: { rotation: 'single_use' },
      api: { url: 'https://api.stripe.com/v1/charges' },
      captured,
      account: { issuer: 'https://connect.stripe.com', id: 'acct_1Example2Three', name: null },
    },
    {
      flow: 'static',
      mode: 'api_key',
      credentials: { api_key: 'rk_test_51ExampleRestricted' },
      api: { url: 'https://api.stripe.com/v1/charges' },
    },
    {
      flow: 'static',
      mode: 'api_key',
      variant: 'platform',
      connection: { stripe_account: 'acct_1Example2Three' },
      credentials: { api_key: 'sk_test_51ExamplePlatform' },
      api: { url: 'https://api.stripe.com/v1/charges', headers: { 'stripe-account': 'acct_1Example2Three' } },
    },
  ],
  webhooks: [
    {
      name: 'event of a connected account',
      secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
      send({ seconds, hmac }) {
        const body = JSON.stringify({
          id: 'evt_1',
          object: 'event',
          type: 'account.application.deauthorized',
          account: 'acct_1032D82eZvKYlo2C',
        });
        // While a secret is rolled, there is a signature for each.
        return json(
          { 'Stripe-Signature': `t=${seconds},v1=${'0'.repeat(64)},v1=${hmac(`${seconds}.${body}`, 'hex')},v0=6ffb` },
          body,
        );
      },
      covers: ['body', 'key', 'algorithm', 'time'],
      event: {
        id: 'evt_1',
        type: 'account.application.deauthorized',
        locator: 'captured.stripe_user_id=acct_1032D82eZvKYlo2C',
        deauthorization: true,
      },
    },
    {
      name: 'thin event',
      secrets: ['whsec_1'],
      send({ seconds, hmac }) {
        const body = JSON.stringify({
          id: 'evt_2',
          object: 'v2.core.event',
          type: 'v1.billing.meter.error_report_triggered',
          context: 'acct_2',
        });
        return json({ 'Stripe-Signature': `t=${seconds},v1=${hmac(`${seconds}.${body}`, 'hex')}` }, body);
      },
      covers: ['body', 'key', 'algorithm', 'time', 'header:Stripe-Signature'],
      event: { locator: 'captured.stripe_user_id=acct_2' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.stripe.com/v1/account',
        answer: { id: 'acct_1Example2Three', object: 'account' },
        unauthorized: reply(401, { error: { type: 'invalid_request_error', message: 'Invalid API Key provided' } }),
        account: 'acct_1Example2Three',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { error: { type: 'invalid_request_error', code: 'rate_limit' } },
          { 'stripe-rate-limited-reason': 'global-rate' },
        ),
        wait: 1,
      },
    ],
  },
} satisfies Vendor;
