// developers.docusign.com/platform/auth/confidential-authcode-get-token, …/auth/jwt-get-token, …/auth/reference/user-info,
// …/auth/reference/obtain-access-token, docusign.com/blog/developers/authorization-code-grant-refresh-tokens

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const ACCOUNT = 'fe0b61a3-3b9b-4b2a-9d1c-0c4c8f4b7e21';
const USER = '4799e5e9-7a3c-4f6b-8f0e-1b2c3d4e5f60';
const failed = (error: string, error_description: string) => reply(400, { error, error_description });
const apiAt = (host: string) => ({
  url: `https://${host}/restapi/v2.1/accounts/${ACCOUNT}/envelopes`,
  unauthorized: reply(401, {
    errorCode: 'AUTHORIZATION_INVALID_TOKEN',
    message: 'The access token provided is expired.',
  }),
});

export default {
  provider: 'docusign',
  rows: [
    {
      flow: 'code',
      mode: 'oauth2_code',
      params: { environment: 'demo' },
      client: { id: '7c2b8d7e-0000-4000-8000-cda8a50dd73f', secret: 'd7014634-0000-4000-8000-6842b7aa8861' },
      // The answer does not tell them.
      scopes: ['signature', 'extended'],
      tokens: { access: 'eyJ0eXAi.', refresh: 'eyJ0eXAi.' },
      lifetime: 28_800,
      authorize: { url: 'https://account-d.docusign.com/oauth/auth' },
      token: {
        url: 'https://account-d.docusign.com/oauth/token',
        clientAuth: 'basic_raw',
        params: { redirect_uri: null },
        respond: ({ access, refresh }: IssuedTokens) => ({
          access_token: access,
          token_type: 'Bearer',
          refresh_token: refresh,
          expires_in: 28_800,
        }),
        errors: {
          deadGrant: failed('invalid_grant', 'expired_client_token'),
          invalidClient: failed('invalid_client', 'client authentication failed'),
        },
      },
      refresh: { rotation: 'single_use' },
      lookups: [
        {
          url: 'https://account-d.docusign.com/oauth/userinfo',
          answer: {
            sub: USER,
            name: 'First Last',
            given_name: 'First',
            family_name: 'Last',
            created: '2015-08-13T22:03:03.45',
            email: 'first.last@example.com',
            accounts: [
              {
                account_id: 'a4ec37d6-0000-4000-8000-143885c220e1',
                is_default: false,
                account_name: 'Another',
                base_uri: 'https://na2.docusign.net',
              },
              {
                account_id: ACCOUNT,
                is_default: true,
                account_name: 'World Wide Co',
                base_uri: 'https://demo.docusign.net',
                organization: { organization_id: '9dd9d6cd-0000-4000-8000-461faa0b10ae', links: [] },
              },
            ],
          },
        },
      ],
      revoke: { url: 'https://account-d.docusign.com/oauth/revoke' },
      api: apiAt('demo.docusign.net'),
      account: { issuer: 'https://account-d.docusign.com', id: USER, name: 'First Last' },
      captured: {
        base_uri: 'https://demo.docusign.net',
        account_id: ACCOUNT,
        account_name: 'World Wide Co',
        account_ids: ['a4ec37d6-0000-4000-8000-143885c220e1', ACCOUNT],
      },
    },
    {
      flow: 'minted',
      mode: 'jwt_bearer',
      client: { configuredAs: ['client_id', 'private_key'] },
      connection: { user_id: USER, base_uri: 'https://na3.docusign.net', account_id: ACCOUNT },
      scopes: ['signature', 'impersonation'],
      assertion: {
        claims: { iss: '{client_id}', sub: USER, aud: 'account.docusign.com', scope: 'signature impersonation' },
      },
      token: {
        url: 'https://account.docusign.com/oauth/token',
        respond: ({ access }: IssuedTokens) => ({
          access_token: access,
          token_type: 'Bearer',
          expires_in: 3_600,
          scope: 'signature impersonation',
        }),
        errors: { deadGrant: reply(400, { error: 'consent_required' }) },
      },
      api: apiAt('na3.docusign.net'),
    },
  ],
  webhooks: [
    {
      name: 'Connect, signed with several keys',
      secrets: ['connect-key-2'],
      send({ hmac }) {
        const body = JSON.stringify({
          event: 'envelope-completed',
          retryCount: 0,
          generatedDateTime: '2026-11-28T10:00:00Z',
          data: { accountId: 'a1', userId: 'u1', envelopeId: 'e1' },
        });
        return json(
          {
            'X-DocuSign-Signature-1': Buffer.alloc(32).toString('base64'),
            'X-DocuSign-Signature-2': hmac(body, 'base64'),
          },
          body,
        );
      },
      covers: ['body', 'key', 'algorithm', 'header:X-DocuSign-Signature-2'],
      event: { id: null, type: 'envelope-completed', locator: 'captured.account_ids=a1' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: ['https://account-d.docusign.com/oauth/userinfo'],
        answer: { sub: '4799e5e9-7a3c-4f6b-8f0e-1b2c3d4e5f60', accounts: [] },
      },
      {
        modes: ['jwt_bearer'],
        url: 'https://account.docusign.com/oauth/userinfo',
        answer: { sub: '4799e5e9-7a3c-4f6b-8f0e-1b2c3d4e5f60' },
        account: '4799e5e9-7a3c-4f6b-8f0e-1b2c3d4e5f60',
      },
    ],
    limits: [
      {
        answer: reply(
          400,
          { errorCode: 'HOURLY_APIINVOCATION_LIMIT_EXCEEDED' },
          { 'x-ratelimit-limit': '3000', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795912200' },
        ),
        wait: 1800,
      },
    ],
  },
} satisfies Vendor;
