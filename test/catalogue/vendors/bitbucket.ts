// developer.atlassian.com/cloud/bitbucket/oauth-2, …/cloud/bitbucket/rest/intro,
// community.developer.atlassian.com/t/oauth-2-0-and-api-authentication-changes-for-bitbucket-cloud/99003

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { signedBody } from '../emulator/webhook.ts';

const failed = (status: number, error: string, error_description: string) =>
  reply(status, { error_description, error });
const api = {
  url: 'https://api.bitbucket.org/2.0/user',
  answer: { uuid: '{d301aafa-d676-4ee0-88be-962be7417567}', display_name: 'Ada Byron', type: 'user' },
  unauthorized: reply(401, {
    type: 'error',
    error: { message: 'Token is invalid or not supported for this endpoint.' },
  }),
};

export default {
  provider: 'bitbucket',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      // The consumer's own, since none are asked for.
      granted: ['account', 'repository:write', 'pullrequest'],
      lifetime: 7_200,
      authorize: { url: 'https://bitbucket.org/site/oauth2/authorize' },
      token: {
        url: 'https://bitbucket.org/site/oauth2/access_token',
        clientAuth: 'basic_raw',
        respond: ({ body, grant }: IssuedTokens) => ({
          ...body,
          token_type: 'bearer',
          state: grant === 'code' ? 'authorization_code' : 'refresh_token',
        }),
        errors: {
          deadGrant: failed(400, 'invalid_grant', 'Invalid refresh_token'),
          invalidClient: failed(400, 'unauthorized_client', 'Invalid OAuth client credentials'),
        },
      },
      refresh: { rotation: 'single_use' },
      api,
      account: {
        issuer: 'https://bitbucket.org',
        id: '{d301aafa-d676-4ee0-88be-962be7417567}',
        name: 'Ada Byron',
      },
    },
    {
      flow: 'static',
      mode: 'api_token',
      credentials: { username: 'ada@example.com', password: 'ATATT3xFfGF0-example:A1B2' },
      api,
    },
  ],
  webhooks: [
    {
      name: 'push',
      secrets: ['mysecret'],
      ...signedBody(
        'X-Hub-Signature',
        { prefix: 'sha256=' },
        { push: { changes: [1] } },
        { 'X-Request-UUID': 'r1', 'X-Event-Key': 'repo:push' },
      ),
      event: { id: 'r1', type: 'repo:push' },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.bitbucket.org/2.0/user',
        answer: { uuid: '{d301aafa-d676-4ee0-88be-962be7417567}', display_name: 'Ada Byron' },
        account: '{d301aafa-d676-4ee0-88be-962be7417567}',
      },
    ],
    limits: [{ answer: reply(429, 'Rate limit for this resource has been exceeded'), wait: 60 }],
  },
} satisfies Vendor;
