// documentation.onesignal.com/docs/en/keys-and-ids, …/reference/rest-api-overview

import { reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const APP = '5eb5a37e-b458-11e3-ac11-000c2940e62c';
const refusal = reply(401, { errors: ['Access denied. Please include an Authorization header with a valid API key.'] });

export default {
  provider: 'onesignal',
  rows: [
    {
      flow: 'static',
      mode: 'api_key',
      connection: { app_id: APP },
      credentials: { api_key: 'os_v2_app_l222g7vulai6hlarabbguxtcyexample' },
      api: { url: `https://api.onesignal.com/notifications?app_id=${APP}`, tokenType: 'Key', unauthorized: refusal },
    },
    {
      flow: 'static',
      mode: 'organization_key',
      credentials: { api_key: 'os_v2_org_mftpxsxwljg4bkuwkvokhcofwexample' },
      api: { url: 'https://api.onesignal.com/apps', tokenType: 'Key', answer: [], unauthorized: refusal },
    },
  ],
  webhooks: [
    {
      name: 'event stream',
      secrets: ['t0ken-of-our-own'],
      send: ({ key }) =>
        json({ 'X-Webhook-Token': key }, { event: { id: 'e1', kind: 'message.push.sent', app_id: 'app1' } }),
      covers: ['key', 'header:X-Webhook-Token'],
      event: { id: 'e1', type: 'message.push.sent', locator: 'params.app_id=app1' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['api_key'],
        url: 'https://api.onesignal.com/notifications?app_id={app_id}&limit=1',
        answer: { notifications: [] },
      },
      { modes: ['organization_key'], url: 'https://api.onesignal.com/apps', answer: [] },
    ],
    limits: [{ answer: reply(429, { errors: ['Rate limit exceeded'] }, { 'retry-after': '2' }), wait: 2 }],
  },
} satisfies Vendor;
