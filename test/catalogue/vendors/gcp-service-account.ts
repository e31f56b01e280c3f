// developers.google.com/identity/protocols/oauth2/service-account (and its addendum: authorization without OAuth)

import { reply, type Vendor } from '../emulator/vendor.ts';
import { minted, pubSubPushes, serviceAccount } from '../families/google.ts';

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
  webhooks: pubSubPushes,
  calls: {
    checks: [
      {
        modes: ['jwt_bearer'],
        url: 'https://cloudresourcemanager.googleapis.com/v3/projects:search?pageSize=1',
        answer: { projects: [] },
        unauthorized: reply(401, { error: { code: 401, message: 'Invalid Credentials', status: 'UNAUTHENTICATED' } }),
      },
    ],
    limits: [
      {
        answer: reply(429, {
          error: {
            code: 429,
            status: 'RESOURCE_EXHAUSTED',
            details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '3.5s' }],
          },
        }),
        wait: 3.5,
      },
    ],
  },
} satisfies Vendor;
