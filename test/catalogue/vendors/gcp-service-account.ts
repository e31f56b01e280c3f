// developers.google.com/identity/protocols/oauth2/service-account (and its addendum: authorization without OAuth)

import type { Vendor } from '../emulator/vendor.ts';
import { json, rs256, rsa } from '../emulator/webhook.ts';
import { minted, serviceAccount } from '../families/google.ts';

const robot = serviceAccount('robot', 'example-project');
const subject = 'alice@example.com';

export default {
  provider: 'gcp-service-account',
  rows: [
    {
      ...minted(robot, { scope: 'https://www.googleapis.com/auth/devstorage.read_only', subject }),
      params: { service: 'storage' },
      connection: { subject },
      api: { url: 'https://storage.googleapis.com/storage/v1/b' },
    },
    {
      flow: 'minted',
      mode: 'self_signed_jwt',
      client: { configuredAs: [] },
      params: { service: 'pubsub' },
      assertion: {
        header: { kid: '{key_id}' },
        claims: { iss: robot.email, sub: robot.email, aud: 'https://pubsub.googleapis.com/' },
      },
      credentials: robot.credentials,
      api: { url: 'https://pubsub.googleapis.com/v1/projects/example-project/topics' },
    },
  ],
  webhooks: [
    {
      name: 'Pub/Sub push',
      secrets: ['push@project.iam.gserviceaccount.com'],
      keys: rsa,
      send: (sending) =>
        json(
          {
            Authorization: `Bearer ${rs256(sending, { iss: 'https://accounts.google.com', aud: sending.url, email: 'push@project.iam.gserviceaccount.com', email_verified: true })}`,
          },
          { message: { messageId: '2070443601311540', data: 'e30=' }, subscription: 'projects/p/subscriptions/s' },
        ),
      covers: ['key', 'time', 'header:Authorization', 'url'],
      event: { id: '2070443601311540', type: 'projects/p/subscriptions/s' },
    },
    {
      name: 'Pub/Sub push with an audience of its own',
      secrets: ['push@project.iam.gserviceaccount.com', 'audience'],
      keys: rsa,
      send: (sending) =>
        json(
          {
            Authorization: `Bearer ${rs256(sending, { iss: 'https://accounts.google.com', aud: 'audience', email: 'push@project.iam.gserviceaccount.com', email_verified: true })}`,
          },
          { message: { messageId: '1' }, subscription: 's' },
        ),
      covers: ['key'],
    },
  ],
} satisfies Vendor;
