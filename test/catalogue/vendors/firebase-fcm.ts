// firebase.google.com/docs/cloud-messaging/auth-server

import type { Vendor } from '../emulator/vendor.ts';
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
} satisfies Vendor;
