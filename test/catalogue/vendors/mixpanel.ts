// developer.mixpanel.com/reference/service-accounts, …/reference/project-token, …/reference/project-secret,
// docs.mixpanel.com/docs/privacy/eu-residency

import { reply, type StaticRow, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const refusal = reply(401, { error: 'Unauthorized', status: 'error' });
const account = {
  flow: 'static',
  mode: 'service_account',
  connection: { project_id: '1234567' },
  credentials: { username: 'export.0a1b2c.mp-service-account', password: 'S3cr:t+Value' },
  api: { url: 'https://mixpanel.com/api/query/insights', unauthorized: refusal },
} satisfies StaticRow;

export default {
  provider: 'mixpanel',
  rows: [
    account,
    {
      ...account,
      variant: 'EU',
      connection: { region: 'eu' },
      credentials: { ...account.credentials, password: 'S3cretValue' },
      api: { url: 'https://eu.mixpanel.com/api/query/insights', unauthorized: refusal },
    },
    {
      flow: 'static',
      mode: 'project_token',
      connection: { region: 'in' },
      credentials: { api_key: '0123456789abcdef0123456789abcdef' },
      api: { method: 'POST', url: 'https://api-in.mixpanel.com/track', tokenType: 'body:token', answer: { status: 1 } },
    },
    {
      flow: 'static',
      mode: 'project_secret',
      credentials: { secret: 'fedcba9876543210fedcba9876543210' },
      // The user's name, without a password.
      served: Buffer.from('fedcba9876543210fedcba9876543210:').toString('base64'),
      api: { url: 'https://mixpanel.com/api/query/insights', tokenType: 'Basic', unauthorized: refusal },
    },
  ],
  webhooks: [
    {
      name: 'cohort sync',
      secrets: ['ada:p:w'],
      send: ({ key }) =>
        json(
          { Authorization: `Basic ${Buffer.from(key).toString('base64')}` },
          { action: 'members', parameters: { mixpanel_project_id: '123', mixpanel_session_id: 's1' } },
        ),
      covers: ['key', 'header:Authorization'],
      event: { id: null, type: 'members', locator: 'params.project_id=123' },
      answer: { body: '{"action":"members","status":"success"}' },
    },
    {
      name: 'without a password',
      hook: true,
      send: () => json({}, { action: 'add_members' }),
      covers: [],
      event: { type: 'add_members' },
      isAuthenticated: false,
    },
  ],
  calls: {
    checks: [
      {
        modes: ['service_account'],
        url: ['https://mixpanel.com/api/app/me', 'https://eu.mixpanel.com/api/app/me'],
        answer: { status: 'ok', results: { user_id: 42 } },
        account: '42',
      },
    ],
    limits: [{ answer: reply(429, { error: 'Query rate limit exceeded' }), wait: 60 }],
  },
} satisfies Vendor;
