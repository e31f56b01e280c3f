// developers.notion.com/reference/create-a-token, …/reference/refresh-a-token, …/reference/revoke-token,
// …/guides/get-started/authorization, …/reference/status-codes, …/reference/versioning

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, signedBody } from '../emulator/webhook.ts';

const WORKSPACE = '3c90c3cc-0d44-4b50-8888-8dd25736052a';
const VERSION = { 'notion-version': /^20\d\d-\d\d-\d\d$/ };
const problem = (status: number, code: string, message: string) => ({
  object: 'error',
  status,
  code,
  message,
  request_id: '00000000-0000-4000-8000-000000000000',
});
const failed = (status: number, error: string) =>
  reply(status, { error, request_id: '00000000-0000-4000-8000-000000000000' });
const api = {
  url: 'https://api.notion.com/v1/users/me',
  headers: VERSION,
  answer: { object: 'user', id: '7dc8e7d9-0000-4000-8000-cfa13b4e9f75', type: 'bot', bot: {} },
  unauthorized: reply(401, problem(401, 'unauthorized', 'API token is invalid.')),
};

export default {
  provider: 'notion',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      tokens: { access: 'ntn_', refresh: 'nrt_' },
      lifetime: null,
      authorize: { url: 'https://api.notion.com/v1/oauth/authorize', separator: null, params: { owner: 'user' } },
      token: {
        url: 'https://api.notion.com/v1/oauth/token',
        clientAuth: 'basic_raw',
        body: 'json',
        headers: VERSION,
        respond: ({ access, refresh }: IssuedTokens) => ({
          access_token: access,
          token_type: 'bearer',
          refresh_token: refresh,
          bot_id: '7dc8e7d9-0000-4000-8000-cfa13b4e9f75',
          workspace_icon: null,
          workspace_name: "Ada's Notion",
          workspace_id: WORKSPACE,
          owner: {
            type: 'user',
            user: {
              object: 'user',
              id: 'd40e767c-0000-4000-8000-92ae1d6ec5c5',
              name: 'Ada',
              avatar_url: null,
              type: 'person',
              person: { email: 'ada@example.com' },
            },
          },
          duplicated_template_id: null,
          request_id: '00000000-0000-4000-8000-000000000000',
        }),
        errors: {
          deadGrant: failed(400, 'invalid_grant'),
          invalidClient: failed(401, 'invalid_client'),
          rateLimited: reply(429, problem(429, 'rate_limited', 'You have been rate limited.'), { 'retry-after': '30' }),
        },
      },
      refresh: { rotation: 'single_use' },
      revoke: {
        url: 'https://api.notion.com/v1/oauth/revoke',
        clientAuth: 'basic_raw',
        body: 'json',
        headers: VERSION,
        params: { token: '{access_token}' },
        answer: { request_id: '00000000-0000-4000-8000-000000000000' },
      },
      api,
      account: {
        issuer: 'https://www.notion.so',
        id: `${WORKSPACE}/d40e767c-0000-4000-8000-92ae1d6ec5c5`,
        name: "Ada's Notion",
      },
      captured: {
        workspace_id: WORKSPACE,
        workspace_name: "Ada's Notion",
        bot_id: '7dc8e7d9-0000-4000-8000-cfa13b4e9f75',
        owner_type: 'user',
        owner_user_id: 'd40e767c-0000-4000-8000-92ae1d6ec5c5',
      },
    },
    {
      flow: 'static',
      mode: 'internal_integration',
      params: { notion_version: '2025-09-03' },
      credentials: { api_key: 'ntn_0123456789abcdefghijABCDEFGHIJ' },
      api: { ...api, headers: { 'notion-version': '2025-09-03' } },
    },
  ],
  webhooks: [
    {
      name: 'page changed',
      secrets: ['secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl'],
      ...signedBody(
        'X-Notion-Signature',
        { prefix: 'sha256=' },
        { id: 'e1', type: 'page.created', workspace_id: 'w1', accessible_by: [{ id: 'b1', type: 'bot' }] },
      ),
      event: { id: 'e1', type: 'page.created', locator: 'captured.workspace_id=w1' },
    },
    {
      name: 'verification token',
      send: () => json({}, { verification_token: 'secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl' }),
      covers: [],
      handshake: { learns: 'secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.notion.com/v1/users/me',
        answer: { object: 'user', id: '7dc8e7d9-0000-4000-8000-cfa13b4e9f75', type: 'bot', bot: {} },
        unauthorized: reply(401, { object: 'error', code: 'unauthorized' }),
        account: '7dc8e7d9-0000-4000-8000-cfa13b4e9f75',
      },
    ],
    limits: [
      { answer: reply(429, { object: 'error', code: 'rate_limited' }, { 'retry-after': '3' }), wait: 3 },
      { answer: reply(529, { object: 'error', code: 'service_overload' }), wait: 1 },
    ],
  },
} satisfies Vendor;
