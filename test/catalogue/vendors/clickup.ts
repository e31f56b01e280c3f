// developer.clickup.com/docs/authentication, …/reference/getaccesstoken, …/reference/getauthorizedteams, …/docs/common_errors

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

const api = {
  url: 'https://api.clickup.com/api/v2/user',
  answer: { user: { id: 123, username: 'John Doe', color: '#000000', profilePicture: null } },
  unauthorized: reply(401, { err: 'Token invalid', ECODE: 'OAUTH_025' }),
};

export default {
  provider: 'clickup',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      lifetime: null,
      authorize: { url: 'https://app.clickup.com/api', separator: null },
      token: {
        url: 'https://api.clickup.com/api/v2/oauth/token',
        params: { grant_type: null, redirect_uri: null },
        respond: ({ access }: IssuedTokens) => ({ access_token: access }),
        errors: { invalidClient: reply(401, { err: 'Client not found', ECODE: 'OAUTH_010' }) },
      },
      lookups: [
        {
          url: 'https://api.clickup.com/api/v2/team',
          answer: {
            teams: [
              { id: '1234', name: 'My ClickUp Workspace', color: '#000000', members: [] },
              { id: '5678', name: 'Another', color: '#ffffff', members: [] },
            ],
          },
        },
      ],
      api,
      account: { issuer: 'https://api.clickup.com', id: '123', name: 'John Doe' },
      captured: { workspace_ids: ['1234', '5678'] },
    },
    {
      flow: 'static',
      mode: 'api_key',
      credentials: { api_key: 'pk_4753994_EXP7MPOJ7XQM5UJDV2M45MPF0YHH5YHO' },
      // Bare: with Bearer it would be taken for an OAuth token.
      api: { ...api, tokenType: 'header:Authorization' },
    },
  ],
  webhooks: [
    {
      name: 'task updated',
      secrets: ['secret of the webhook'],
      ...signedBody(
        'X-Signature',
        {},
        { event: 'taskUpdated', history_items: [{ id: '2800763136717140857' }], webhook_id: 'w1' },
      ),
      event: { id: '2800763136717140857', type: 'taskUpdated' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.clickup.com/api/v2/user',
        answer: { user: { id: 123, username: 'John Doe' } },
        unauthorized: reply(401, { err: 'Token invalid', ECODE: 'OAUTH_025' }),
        account: '123',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { err: 'Rate limit reached', ECODE: 'APP_002' },
          { 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795910440' },
        ),
        wait: 40,
      },
    ],
  },
} satisfies Vendor;
