// developers.intercom.com/docs/build-an-integration/learn-more/authentication/setting-up-oauth,
// …/installing-uninstalling-apps, …/docs/references/rest-api/api.intercom.io/admins/identifyadmin

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

const refusal = reply(401, {
  type: 'error.list',
  request_id: 'a-request',
  errors: [{ code: 'unauthorized', message: 'Access Token Invalid' }],
});

/** Consent and the API are where the workspace lives; codes are spent at one place. */
const row = (region: '' | 'eu.' | 'au.') =>
  ({
    flow: 'code',
    mode: 'oauth2_code',
    tokens: { access: 'dG9rOmV4YW1wbGU_' },
    lifetime: null,
    authorize: {
      url: `https://app.${region}intercom.com/oauth`,
      separator: null,
      params: { response_type: null },
    },
    token: {
      url: 'https://api.intercom.io/auth/eagle/token',
      params: { grant_type: null, redirect_uri: null },
      respond: ({ access }: IssuedTokens) => ({ token_type: 'Bearer', token: access, access_token: access }),
    },
    lookups: [
      {
        url: `https://api.${region}intercom.io/me`,
        answer: {
          type: 'admin',
          id: '814860',
          email: 'ada@example.com',
          name: 'Ada',
          email_verified: true,
          app: {
            type: 'app',
            id_code: 'tx2p130c',
            name: 'Acme',
            region: region === '' ? 'US' : region.slice(0, 2).toUpperCase(),
            identity_verification: false,
          },
          has_inbox_seat: true,
        },
      },
    ],
    revoke: {
      url: `https://api.${region}intercom.io/auth/uninstall`,
      authorizedBy: 'Bearer',
      body: 'none',
      ends: 'grant',
    },
    account: { issuer: 'https://app.intercom.com', id: 'tx2p130c', name: null },
    api: { url: `https://api.${region}intercom.io/contacts`, unauthorized: refusal },
  }) satisfies CodeRow;

export default {
  provider: 'intercom',
  rows: [
    { ...row(''), captured: { admin_id: '814860', workspace_id: 'tx2p130c', workspace_region: 'US' } },
    {
      ...row('eu.'),
      variant: 'EU',
      params: { api_version: '2.14' },
      connection: { region: 'eu' },
      api: { ...row('eu.').api, headers: { 'intercom-version': '2.14' } },
      captured: { workspace_region: 'EU' },
    },
    {
      flow: 'static',
      mode: 'api_key',
      params: { api_version: '2.14' },
      connection: { region: 'au' },
      credentials: { api_key: 'dG9rOmV4YW1wbGVfb2Zfb25lcw==' },
      api: {
        url: 'https://api.au.intercom.io/contacts',
        headers: { 'intercom-version': '2.14' },
        unauthorized: refusal,
      },
    },
  ],
  webhooks: [
    {
      name: 'topic',
      clientSecret: 'client secret',
      ...signedBody(
        'X-Hub-Signature',
        { prefix: 'sha1=', hash: 'sha1' },
        { type: 'notification_event', id: 'notif_1', topic: 'conversation.user.created', app_id: 'a1' },
      ),
      event: { id: 'notif_1', type: 'conversation.user.created', locator: 'captured.workspace_id=a1' },
    },
    {
      name: 'HEAD',
      clientSecret: 'client secret',
      send: () => ({ method: 'HEAD', headers: {}, body: '' }),
      covers: [],
      handshake: { body: null },
    },
  ],
  calls: {
    checks: [
      {
        url: ['https://api.intercom.io/me', 'https://api.eu.intercom.io/me'],
        answer: { type: 'admin', id: '814860', app: { id_code: 'tx2p130c' } },
        unauthorized: reply(401, { type: 'error.list', errors: [{ code: 'unauthorized' }] }),
      },
      {
        modes: ['api_key'],
        url: 'https://api.au.intercom.io/me',
        answer: { type: 'admin', id: '1', app: { id_code: 'tx2p130c' } },
        unauthorized: reply(401, { type: 'error.list' }),
        account: 'tx2p130c',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { type: 'error.list', errors: [{ code: 'rate_limit_exceeded' }] },
          { 'x-ratelimit-limit': '1666', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795910410' },
        ),
        wait: 10,
      },
    ],
  },
} satisfies Vendor;
