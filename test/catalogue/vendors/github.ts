// docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps,
// …/apps/creating-github-apps/authenticating-with-a-github-app, …/rest/apps/oauth-applications
import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';

/** Form-encoded unless JSON is asked for, and a 200 for most errors. */
const failed = (error: string) => reply(200, { error, error_description: `${error} is what went wrong.` });
const errors = {
  deadGrant: failed('bad_refresh_token'),
  invalidClient: failed('incorrect_client_credentials'),
  request: failed('bad_verification_code'),
};
const authorize = {
  url: 'https://github.com/login/oauth/authorize',
  params: { allow_signup: null, login: null },
};
const token = {
  url: 'https://github.com/login/oauth/access_token',
  params: { grant_type: null },
  headers: { accept: 'application/json' },
  errors,
};
const revoke: CodeRow['revoke'] = {
  method: 'DELETE',
  url: 'https://api.github.com/applications/{client_id}/grant',
  clientAuth: 'basic_raw',
  body: 'json',
  params: { access_token: '{access_token}' },
  headers: { accept: 'application/vnd.github+json' },
  answer: reply(204),
  ends: 'grant',
};
const api = {
  url: 'https://api.github.com/user',
  tokenType: ['Bearer', 'token'],
  answer: { login: 'octocat', id: 583_231 },
};
const account = { issuer: 'https://github.com', id: '583231', name: 'octocat' };

export default {
  provider: 'github',
  rows: [
    {
      flow: 'code',
      mode: 'oauth_app',
      scopes: ['repo', 'gist', 'read:org'],
      // The owner may untick some.
      granted: ['repo', 'gist'],
      tokens: { access: 'gho_' },
      lifetime: null,
      authorize,
      token: {
        ...token,
        respond: ({ access, scopes }: IssuedTokens) => ({
          access_token: access,
          scope: scopes.join(','),
          token_type: 'bearer',
        }),
      },
      revoke,
      api,
      account,
    },
    {
      flow: 'code',
      mode: 'github_app_user',
      tokens: { access: 'ghu_', refresh: 'ghr_' },
      lifetime: 28_800,
      authorize: {
        ...authorize,
        separator: null,
        callback: () => ({ installation_id: '48213377', setup_action: 'install' }),
      },
      token: {
        ...token,
        respond: ({ body }: IssuedTokens) => ({
          ...body,
          refresh_token_expires_in: 15_811_200,
          scope: '',
          token_type: 'bearer',
        }),
      },
      refresh: { rotation: 'single_use', endsAccess: true },
      revoke,
      api,
      account,
      captured: { installation_id: '48213377', setup_action: 'install' },
    },
    {
      flow: 'minted',
      mode: 'app_installation',
      client: { id: 'Iv23liExample', configuredAs: ['client_id', 'private_key'] },
      connection: { installation_id: '48213377' },
      tokens: { access: 'ghs_' },
      assertion: { sentAs: 'bearer', alg: 'RS256', maxLifetime: 600, claims: { iss: '{client_id}' } },
      token: {
        url: 'https://api.github.com/app/installations/{installation_id}/access_tokens',
        body: 'none',
        headers: { accept: 'application/vnd.github+json' },
        respond: ({ access, expiresAt }: IssuedTokens) =>
          reply(201, {
            token: access,
            expires_at: expiresAt?.toISOString().replace('.000', ''),
            permissions: { issues: 'write' },
            repository_selection: 'selected',
          }),
      },
      api: { ...api, url: 'https://api.github.com/installation/repositories' },
      captured: { repository_selection: 'selected' },
    },
  ],
} satisfies Vendor;
