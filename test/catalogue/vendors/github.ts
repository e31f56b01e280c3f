// docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps,
// …/apps/creating-github-apps/authenticating-with-a-github-app, …/rest/apps/oauth-applications

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { form, signedBody } from '../emulator/webhook.ts';

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
      lookups: [
        {
          url: 'https://api.github.com/user/installations/48213377/repositories?per_page=1',
          headers: { accept: 'application/vnd.github+json' },
          answer: { total_count: 1, repositories: [{ id: 1_296_269 }] },
        },
      ],
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
  webhooks: [
    {
      name: 'authorization revoked',
      secrets: ["It's a Secret to Everybody"],
      ...signedBody(
        'X-Hub-Signature-256',
        { prefix: 'sha256=' },
        { action: 'revoked', sender: { id: 583231, login: 'octocat' } },
        { 'X-GitHub-Event': 'github_app_authorization', 'X-GitHub-Delivery': '72d3162e' },
      ),
      event: {
        id: '72d3162e',
        type: 'github_app_authorization.revoked',
        locator: 'captured.user_id=583231',
        deauthorization: true,
      },
    },
    {
      name: 'installation deleted',
      secrets: ["It's a Secret to Everybody"],
      ...signedBody(
        'X-Hub-Signature-256',
        { prefix: 'sha256=' },
        { action: 'deleted', installation: { id: 7 } },
        { 'X-GitHub-Event': 'installation', 'X-GitHub-Delivery': '2' },
      ),
      event: { locator: 'captured.installation_id=7', deauthorization: true },
    },
    {
      name: 'installation suspended',
      secrets: ["It's a Secret to Everybody"],
      ...signedBody(
        'X-Hub-Signature-256',
        { prefix: 'sha256=' },
        { action: 'suspend', installation: { id: 7 } },
        { 'X-GitHub-Event': 'installation', 'X-GitHub-Delivery': '4' },
      ),
      event: { locator: 'captured.installation_id=7', hold: 'hold' },
    },
    {
      name: 'installation unsuspended',
      secrets: ["It's a Secret to Everybody"],
      ...signedBody(
        'X-Hub-Signature-256',
        { prefix: 'sha256=' },
        { action: 'unsuspend', installation: { id: 7 } },
        { 'X-GitHub-Event': 'installation', 'X-GitHub-Delivery': '5' },
      ),
      event: { locator: 'captured.installation_id=7', hold: 'release' },
    },
    {
      name: 'form',
      secrets: ["It's a Secret to Everybody"],
      send({ hmac }) {
        const { headers, body } = form(
          { 'X-GitHub-Event': 'push', 'X-GitHub-Delivery': '3' },
          { payload: JSON.stringify({ installation: { id: 7 } }) },
        );
        return { headers: { ...headers, 'X-Hub-Signature-256': `sha256=${hmac(body, 'hex')}` }, body };
      },
      event: { type: 'push', locator: 'captured.installation_id=7' },
    },
    {
      name: 'ping',
      secrets: ["It's a Secret to Everybody"],
      ...signedBody(
        'X-Hub-Signature-256',
        { prefix: 'sha256=' },
        { zen: 'Design for failure.', hook_id: 1 },
        { 'X-GitHub-Event': 'ping' },
      ),
      handshake: {},
    },
  ],
  calls: {
    checks: [
      {
        modes: ['oauth_app', 'github_app_user'],
        url: 'https://api.github.com/user',
        answer: { login: 'octocat', id: 583231 },
        unauthorized: reply(401, { message: 'Bad credentials', status: '401' }),
      },
      {
        modes: ['app_installation'],
        url: 'https://api.github.com/installation/repositories?per_page=1',
        answer: { total_count: 0, repositories: [] },
        unauthorized: reply(401, { message: 'Bad credentials', status: '401' }),
      },
    ],
    limits: [
      {
        answer: reply(
          403,
          { message: 'API rate limit exceeded for user ID 1.' },
          { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795911000' },
        ),
        wait: 600,
      },
      { answer: reply(403, { message: 'You have exceeded a secondary rate limit.' }), wait: 60 },
      { answer: reply(429, { message: 'secondary' }, { 'retry-after': '17' }), wait: 17 },
    ],
  },
} satisfies Vendor;
