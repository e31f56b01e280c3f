// developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow, …/guides/access-tokens/get-long-lived,
// …/docs/graph-api/reference/user/permissions, …/docs/graph-api/guides/error-handling

import { type CodeRow, type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { metaWebhooks } from '../families/meta.ts';

const DAY = 86_400;
const failed = (status: number, code: number, message: string, more = {}) =>
  reply(status, { error: { message, type: 'OAuthException', code, ...more, fbtrace_id: 'EJplcsCHuLu' } });
const errors = {
  deadGrant: failed(400, 190, 'Error validating access token: The user has not authorized application 1029384756.', {
    error_subcode: 458,
  }),
  invalidClient: failed(400, 1, 'Error validating client secret.'),
  rateLimited: failed(400, 4, '(#4) Application request limit reached', { is_transient: true }),
};

function row(version: string) {
  const graph = `https://graph.facebook.com/v${version}`;
  const url = `${graph}/oauth/access_token`;
  const takes = ['Bearer', 'query:access_token'];
  const params = { grant_type: 'fb_exchange_token', fb_exchange_token: '{access_token}' };
  const longLived = ({ access }: IssuedTokens) => ({
    access_token: access,
    token_type: 'bearer',
    expires_in: 60 * DAY,
  });
  return {
    flow: 'code',
    mode: 'oauth2_code',
    client: { id: '1029384756', secret: '0123456789abcdef0123456789abcdef' },
    scopes: ['public_profile', 'pages_show_list'],
    tokens: { access: 'EAAG' },
    lifetime: 5_000,
    authorize: { url: `https://www.facebook.com/v${version}/dialog/oauth`, separator: ',' },
    token: {
      url,
      params: { grant_type: null },
      respond: ({ access }: IssuedTokens) => ({ access_token: access, token_type: 'bearer', expires_in: 5_000 }),
      errors,
    },
    exchange: { method: 'GET', url, params, lifetime: 60 * DAY, respond: longLived, errors },
    refresh: { method: 'GET', spends: 'access_token', rotation: 'grace', params, respond: longLived },
    lookups: [
      { url: `${graph}/me?fields=id,name`, tokenType: takes, answer: { id: '10223344556677889', name: 'Ada Byron' } },
    ],
    revoke: {
      method: 'DELETE',
      url: `${graph}/me/permissions`,
      authorizedBy: 'Bearer',
      body: 'none',
      answer: { success: true },
      ends: 'grant',
    },
    api: { url: `${graph}/me/accounts`, tokenType: takes, answer: { data: [] }, unauthorized: errors.deadGrant },
    account: { issuer: 'https://www.facebook.com', id: '10223344556677889', name: 'Ada Byron' },
    captured: { user_id: '10223344556677889', user_name: 'Ada Byron' },
  } satisfies CodeRow;
}

export default {
  provider: 'facebook',
  rows: [
    row('25.0'),
    {
      ...row('26.0'),
      variant: 'for business, asked again',
      params: { graph_version: '26.0', config_id: '1029384756102938', auth_type: 'rerequest' },
      authorize: {
        ...row('26.0').authorize,
        params: { config_id: '1029384756102938', auth_type: 'rerequest' },
      },
    },
  ],
  webhooks: metaWebhooks('page'),
  calls: {
    checks: [
      {
        url: ['https://graph.facebook.com/v25.0/me?fields=id', 'https://graph.facebook.com/v26.0/me?fields=id'],
        answer: { id: '10223344556677889' },
        unauthorized: reply(400, {
          error: { message: 'Error validating access token', type: 'OAuthException', code: 190 },
        }),
      },
    ],
    limits: [
      {
        answer: reply(
          400,
          { error: { message: '(#4) Application request limit reached', type: 'OAuthException', code: 4 } },
          { 'x-app-usage': '{"call_count":100,"total_cputime":25,"total_time":30}' },
        ),
        wait: 300,
      },
      {
        answer: reply(
          403,
          { error: { code: 80004 } },
          {
            'x-business-use-case-usage':
              '{"123":[{"type":"ads_management","call_count":100,"total_cputime":25,"total_time":25,"estimated_time_to_regain_access":7}]}',
          },
        ),
        wait: 420,
      },
    ],
  },
} satisfies Vendor;
