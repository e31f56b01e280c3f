// What the vendors share whose OAuth endpoints answer as Doorkeeper does, the OAuth provider for Rails:
// github.com/doorkeeper-gem/doorkeeper (routes, token response, error texts)
import { type CodeRow, type IssuedTokens, reply } from '../emulator/vendor.ts';

export const doorkeeper = (host: string) =>
  ({
    flow: 'code',
    mode: 'oauth2_code',
    lifetime: 7_200,
    authorize: { url: `https://${host}/oauth/authorize` },
    token: {
      url: `https://${host}/oauth/token`,
      clientAuth: ['post', 'basic'],
      respond: ({ body }: IssuedTokens) => ({ ...body, created_at: Math.floor(Date.now() / 1_000) }),
      errors: {
        deadGrant: reply(400, {
          error: 'invalid_grant',
          error_description:
            'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
        }),
        invalidClient: reply(401, {
          error: 'invalid_client',
          error_description:
            'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.',
        }),
      },
    },
    // Both tokens are one record.
    revoke: { url: `https://${host}/oauth/revoke`, answer: {}, ends: 'grant' },
  }) satisfies Partial<CodeRow>;
