// What Google's service accounts share: developers.google.com/identity/protocols/oauth2/service-account
import { type IssuedTokens, type MintedRow, reply, type Secrets } from '../emulator/vendor.ts';

const TOKEN_URL = 'https://oauth2.googleapis.com/token';

/** A service account of the project, as in its key file. */
export const serviceAccount = (name: string, project: string) => {
  const email = `${name}@${project}.iam.gserviceaccount.com`;
  const credentials = ({ privateKey, keyId }: Secrets): Record<string, string> => ({
    service_account_json: JSON.stringify({
      type: 'service_account',
      project_id: project,
      private_key_id: keyId,
      private_key: privateKey,
      client_email: email,
      client_id: '100000000000000000000',
      auth_uri: 'https://accounts.google.com/o/oauth2/auth',
      token_uri: TOKEN_URL,
      universe_domain: 'googleapis.com',
    }),
  });
  return { email, credentials };
};

/** An assertion is swapped for a token; `subject`: of the user that the account stands in for, by domain-wide delegation. */
export const minted = (
  { email, credentials }: ReturnType<typeof serviceAccount>,
  { scope, subject }: { scope: string; subject?: string },
) =>
  ({
    flow: 'minted',
    mode: 'jwt_bearer',
    client: { configuredAs: [] },
    scopes: [scope],
    tokens: { access: 'ya29.c.' },
    lifetime: 3_599,
    assertion: {
      header: { kid: '{key_id}' },
      claims: { iss: email, ...(subject !== undefined && { sub: subject }), aud: TOKEN_URL, scope },
    },
    token: {
      url: TOKEN_URL,
      respond: ({ access }: IssuedTokens) => ({ access_token: access, expires_in: 3_599, token_type: 'Bearer' }),
      errors: { deadGrant: reply(400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }) },
    },
    credentials,
  }) satisfies Partial<MintedRow>;
