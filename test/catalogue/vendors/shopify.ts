// shopify.dev/docs/apps/build/authentication-authorization/access-tokens: authorization-code-grant, offline-access-tokens

import { createHmac } from 'node:crypto';
import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

const shop = { shop: 'acme-outdoors' };
const TOKEN_URL = 'https://acme-outdoors.myshopify.com/admin/oauth/access_token';

/** Sorted, without the HMAC itself, and hexadecimal. */
const callback: CodeRow['authorize']['callback'] = ({ code, state, clientSecret }) => {
  const signed = {
    code,
    host: Buffer.from('admin.shopify.com/store/acme-outdoors').toString('base64url'),
    shop: 'acme-outdoors.myshopify.com',
    state,
    timestamp: String(Math.floor(Date.now() / 1_000)),
  };
  const message = new URLSearchParams(signed).toString();
  return { ...signed, hmac: createHmac('sha256', clientSecret).update(message).digest('hex') };
};

const authorize = {
  url: 'https://acme-outdoors.myshopify.com/admin/oauth/authorize',
  separator: ',',
  params: { response_type: null },
  callback,
  verifiedParams: ['hmac', 'shop', 'timestamp'],
} as const satisfies CodeRow['authorize'];

const api = {
  url: 'https://acme-outdoors.myshopify.com/admin/api/2026-10/shop.json',
  tokenType: 'header:X-Shopify-Access-Token',
};

export default {
  provider: 'shopify',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      account: { issuer: 'https://acme-outdoors.myshopify.com', id: 'acme-outdoors', name: 'acme-outdoors' },
      connection: shop,
      scopes: ['write_orders', 'read_customers'],
      tokens: { access: 'shpat_', refresh: 'shprt_' },
      authorize,
      token: {
        url: TOKEN_URL,
        body: 'json',
        params: { expiring: '1', grant_type: null, redirect_uri: null },
        respond: ({ access, refresh, scopes }: IssuedTokens) => ({
          access_token: access,
          scope: scopes.join(','),
          expires_in: 3_600,
          refresh_token: refresh,
          refresh_token_expires_in: 7_776_000,
        }),
        errors: { rateLimited: reply(429, { errors: 'Exceeded 2 calls per second' }, { 'retry-after': '2.0' }) },
      },
      refresh: { rotation: 'grace', params: { expiring: false } },
      api,
    },
    {
      flow: 'code',
      mode: 'oauth2_code',
      account: { issuer: 'https://acme-outdoors.myshopify.com', id: 'acme-outdoors', name: 'acme-outdoors' },
      variant: 'unexpiring',
      params: { expiring: '0' },
      connection: shop,
      scopes: ['write_orders'],
      tokens: { access: 'shpat_' },
      lifetime: null,
      authorize,
      token: {
        url: TOKEN_URL,
        body: 'json',
        params: { expiring: '0', grant_type: null, redirect_uri: null },
        respond: ({ access, scopes }: IssuedTokens) => ({ access_token: access, scope: scopes.join(',') }),
      },
      api,
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      connection: shop,
      lifetime: 86_399,
      token: {
        url: TOKEN_URL,
        body: 'json',
        respond: ({ access }: IssuedTokens) => ({
          access_token: access,
          scope: 'write_products,read_orders',
          expires_in: 86_399,
        }),
      },
      expects: { scopes: ['write_products', 'read_orders'] },
      api,
    },
    {
      flow: 'static',
      mode: 'admin_custom_app',
      connection: shop,
      credentials: { api_key: 'shpat_00000000000000000000000000000000' },
      api,
    },
  ],
  webhooks: [
    {
      name: 'app uninstalled',
      clientSecret: 'hush',
      ...signedBody(
        'X-Shopify-Hmac-Sha256',
        { encoding: 'base64' },
        { id: 548380009, domain: 'rocket.example', myshopify_domain: 'rocket.myshopify.com' },
        {
          'X-Shopify-Topic': 'app/uninstalled',
          'X-Shopify-Shop-Domain': 'rocket.myshopify.com',
          'X-Shopify-Event-Id': '98880550',
        },
      ),
      event: { id: '98880550', type: 'app/uninstalled', locator: 'params.shop=rocket', deauthorization: true },
    },
    {
      name: 'deletion of what is kept of a shop',
      clientSecret: 'hush',
      ...signedBody(
        'X-Shopify-Hmac-Sha256',
        { encoding: 'base64' },
        { shop_id: 954889, shop_domain: 'rocket.myshopify.com' },
        {
          'X-Shopify-Topic': 'shop/redact',
          'X-Shopify-Shop-Domain': 'rocket.myshopify.com',
          'X-Shopify-Event-Id': '98880551',
        },
      ),
      event: { id: '98880551', type: 'shop/redact', locator: 'params.shop=rocket', deauthorization: true },
    },
    {
      name: 'event with lower-case names, signed with the older secret',
      secrets: ['older secret'],
      ...signedBody(
        'shopify-hmac-sha256',
        { encoding: 'base64' },
        { id: 1 },
        { 'shopify-topic': 'Product', 'shopify-shop-domain': 'rocket.myshopify.com', 'shopify-event-id': 'e2' },
      ),
      event: { id: 'e2', type: 'Product', locator: 'params.shop=rocket' },
    },
  ],
  calls: {
    checks: [
      {
        method: 'POST',
        url: 'https://acme-outdoors.myshopify.com/admin/api/2026-10/graphql.json',
        params: { query: '{ shop { id } }' },
        answer: { data: { shop: { id: 'gid://shopify/Shop/1' } } },
        unauthorized: reply(401, { errors: '[API] Invalid API key or access token' }),
        account: 'gid://shopify/Shop/1',
      },
    ],
    limits: [
      {
        answer: reply(200, {
          errors: [{ message: 'Throttled', extensions: { code: 'THROTTLED' } }],
          extensions: {
            cost: {
              requestedQueryCost: 502,
              throttleStatus: { maximumAvailable: 1000, currentlyAvailable: 2, restoreRate: 100 },
            },
          },
        }),
        wait: 5,
      },
      {
        answer: reply(
          429,
          { errors: 'Exceeded 2 calls per second' },
          { 'retry-after': '2.0', 'x-shopify-shop-api-call-limit': '40/40' },
        ),
        wait: 2,
      },
    ],
  },
} satisfies Vendor;
