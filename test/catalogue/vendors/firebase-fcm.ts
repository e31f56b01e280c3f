// firebase.google.com/docs/cloud-messaging/auth-server

import { reply, type Vendor } from '../emulator/vendor.ts';
import { minted, serviceAccount } from '../families/google.ts';

const account = serviceAccount('firebase-adminsdk-fbsvc', 'acme-push');

export default {
  provider: 'firebase-fcm',
  rows: [
    {
      ...minted(account, { scope: 'https://www.googleapis.com/auth/firebase.messaging' }),
      connection: { project_id: 'acme-push' },
      api: { method: 'POST', url: 'https://fcm.googleapis.com/v1/projects/acme-push/messages:send' },
    },
  ],
  calls: {
    checks: [
      {
        method: 'POST',
        url: 'https://fcm.googleapis.com/v1/projects/acme-push/messages:send',
        answer: { name: 'projects/acme-push/messages/fake_message_id' },
        unauthorized: reply(401, { error: { code: 401, message: 'Invalid Credentials', status: 'UNAUTHENTICATED' } }),
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          {
            error: {
              code: 429,
              status: 'RESOURCE_EXHAUSTED',
              details: [
                { '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode: 'QUOTA_EXCEEDED' },
              ],
            },
          },
          { 'retry-after': '60' },
        ),
        wait: 60,
      },
    ],
  },
} satisfies Vendor;
