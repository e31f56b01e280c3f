// developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps, …/basic-auth-for-rest-apis

import { reply, type Vendor } from '../emulator/vendor.ts';
import { hs256, json, signedBody } from '../emulator/webhook.ts';

const CLOUD = '1324a887-45db-1bf4-1e99-ef0ff456d421';

export default {
  provider: 'atlassian',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      scopes: ['read:jira-work', 'offline_access'],
      authorize: {
        url: 'https://auth.atlassian.com/authorize',
        params: { audience: 'api.atlassian.com', prompt: 'consent' },
      },
      token: {
        url: 'https://auth.atlassian.com/oauth/token',
        errors: {
          deadGrant: reply(403, { error: 'invalid_grant', error_description: 'Unknown or invalid refresh token.' }),
        },
      },
      refresh: { rotation: 'single_use' },
      lookups: [
        {
          url: 'https://api.atlassian.com/me',
          answer: { account_id: '5b10a2844c20165700ede21g', name: 'Mia Krystof' },
        },
        {
          url: 'https://api.atlassian.com/oauth/token/accessible-resources',
          answer: [
            { id: CLOUD, name: 'acme', url: 'https://acme.atlassian.net', scopes: ['read:jira-work'], avatarUrl: '' },
            {
              id: '35273b54-3f06-40d2-880f-dd28cf8daafa',
              name: 'other',
              url: 'https://other.atlassian.net',
              scopes: [],
            },
          ],
        },
      ],
      api: { url: `https://api.atlassian.com/ex/jira/${CLOUD}/rest/api/3/project` },
      account: { issuer: 'https://api.atlassian.com', id: '5b10a2844c20165700ede21g', name: 'Mia Krystof' },
      captured: {
        cloud_id: CLOUD,
        cloud_ids: [CLOUD, '35273b54-3f06-40d2-880f-dd28cf8daafa'],
        site_urls: ['https://acme.atlassian.net', 'https://other.atlassian.net'],
      },
    },
    {
      flow: 'static',
      mode: 'api_token',
      connection: { site: 'acme' },
      credentials: { username: 'fred@example.com', password: 'ATATT3xFfGF0' },
      api: { url: 'https://acme.atlassian.net/rest/api/3/myself', outsideApiBase: true },
    },
  ],
  webhooks: [
    {
      name: 'webhook of an administrator',
      secrets: ['mysecret'],
      ...signedBody(
        'X-Hub-Signature',
        { prefix: 'sha256=' },
        { webhookEvent: 'jira:issue_updated', issue: { self: 'https://acme.atlassian.net/rest/api/2/issue/1' } },
        { 'X-Atlassian-Webhook-Identifier': 'w1' },
      ),
      event: { id: 'w1', type: 'jira:issue_updated', locator: 'captured.site_urls=https://acme.atlassian.net' },
    },
    {
      name: 'dynamic webhook',
      clientSecret: 'client secret of the app',
      send: (sending) =>
        json(
          {
            Authorization: `Bearer ${hs256(sending, { exp: Number(sending.seconds) + 180 })}`,
            'X-Atlassian-Webhook-Identifier': 'w2',
          },
          { webhookEvent: 'jira:issue_created' },
        ),
      covers: ['key', 'algorithm', 'header:Authorization'],
      event: { id: 'w2' },
      isAuthenticated: false,
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: 'https://api.atlassian.com/me',
        answer: { account_id: '5b10a2844c20165700ede21g' },
      },
      {
        modes: ['oauth2_code'],
        url: 'https://api.atlassian.com/oauth/token/accessible-resources',
        answer: [{ id: '11223344-a1b2-3b33-c444-def123456789' }],
      },
      {
        modes: ['api_token'],
        url: 'https://acme.atlassian.net/rest/api/3/myself',
        tokenType: 'Basic',
        answer: { accountId: '5b10a2844c20165700ede21g' },
        account: '5b10a2844c20165700ede21g',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { message: 'Rate limit exceeded' },
          {
            'retry-after': '42',
            'x-ratelimit-limit': '65000',
            'x-ratelimit-remaining': '0',
            'x-ratelimit-reset': '2026-11-29T01:00:00Z',
            'ratelimit-reason': 'jira-quota-global-based',
          },
        ),
        wait: 42,
        scope: 'integration',
      },
      {
        answer: reply(429, '', {
          'x-ratelimit-limit': '65000',
          'x-ratelimit-remaining': '0',
          'x-ratelimit-reset': '2026-11-29T00:05:00Z',
          'ratelimit-reason': 'jira-burst-based',
        }),
        wait: 300,
      },
      { answer: reply(503, '', { 'retry-after': '5' }), wait: 5 },
    ],
  },
} satisfies Vendor;
