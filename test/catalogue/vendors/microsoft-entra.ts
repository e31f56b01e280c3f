// learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc, …/certificate-credentials

import { type CodeRow, type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { CLIENT, customers, failed, graphWebhooks, LOGIN, machine, refusal, signIn } from '../families/entra.ts';

const TENANT = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const MAIL = 'https://graph.microsoft.com/Mail.Read';
function row(authority: string) {
  const user = signIn(authority, 4_711);
  return {
    ...user,
    client: CLIENT,
    scopes: ['openid', 'profile', 'offline_access', MAIL],
    granted: ['openid', 'profile', MAIL],
    token: { ...user.token, clientAuth: ['post', 'basic'] },
    refresh: { rotation: 'grace', params: { scope: /^(?=.*\bMail\.Read\b)(?=.*\boffline_access\b)/ } },
    oidc: {
      issuer: `${LOGIN}/${TENANT}/v2.0`,
      metadata: {
        jwks_uri: `${LOGIN}/${TENANT}/discovery/v2.0/keys`,
        userinfo_endpoint: 'https://graph.microsoft.com/oidc/userinfo',
        end_session_endpoint: `${authority}/oauth2/v2.0/logout`,
        token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt', 'client_secret_basic'],
        response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
        subject_types_supported: ['pairwise'],
        scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
        tenant_region_scope: 'EU',
        cloud_instance_name: 'microsoftonline.com',
      },
      claims: {
        sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ',
        oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
        tid: TENANT,
        ver: '2.0',
      },
    },
    api: { url: 'https://graph.microsoft.com/v1.0/me/messages', unauthorized: refusal },
  } satisfies CodeRow;
}

const itself = {
  ...machine(`${LOGIN}/${TENANT}`),
  connection: { tenant: TENANT },
  scopes: ['https://graph.microsoft.com/.default'],
  api: { url: 'https://graph.microsoft.com/v1.0/users', unauthorized: refusal },
} satisfies MintedRow;

const certified = {
  client: { ...CLIENT, configuredAs: ['client_id', 'private_key', 'certificate'] },
  by: {
    clientAuth: 'private_key_jwt',
    clientAssertion: {
      alg: 'PS256',
      header: { 'x5t#S256': '{thumbprint}' },
      claims: { nbf: true },
      maxLifetime: 600,
    },
  },
} satisfies { client: CodeRow['client']; by: Partial<CodeRow['token']> };

const common = row(`${LOGIN}/common`);
const one = row(`${LOGIN}/${TENANT}`);
const { oidc: _, ...government } = row('https://login.microsoftonline.us/contoso.onmicrosoft.us');

export default {
  provider: 'microsoft-entra',
  rows: [
    common,
    {
      ...government,
      variant: 'US government',
      params: { tenant: 'contoso.onmicrosoft.us', cloud: 'us-gov', graph: 'us-gov', prompt: 'select_account' },
      scopes: ['offline_access', 'https://graph.microsoft.us/Mail.Read'],
      granted: ['https://graph.microsoft.us/Mail.Read'],
      authorize: { ...government.authorize, params: { response_mode: 'query', prompt: 'select_account' } },
      token: {
        ...government.token,
        errors: {
          ...government.token.errors,
          deadGrant: failed(
            400,
            'interaction_required',
            50_076,
            'You must use multi-factor authentication to access it.',
          ),
        },
      },
      api: { url: 'https://graph.microsoft.us/v1.0/me/messages', unauthorized: refusal },
    },
    { ...one, mode: 'oidc', params: { tenant: TENANT } },
    {
      ...one,
      mode: 'oidc',
      variant: 'certificate',
      params: { tenant: TENANT },
      client: certified.client,
      token: { ...one.token, ...certified.by },
    },
    itself,
    { ...itself, variant: 'certificate', client: certified.client, token: { ...itself.token, ...certified.by } },
    {
      ...itself,
      ...machine('https://login.partner.microsoftonline.cn/contoso.partner.onmschina.cn'),
      variant: 'China',
      params: { cloud: 'china', graph: 'china' },
      connection: { tenant: 'contoso.partner.onmschina.cn' },
      scopes: ['https://microsoftgraph.chinacloudapi.cn/.default'],
      api: { url: 'https://microsoftgraph.chinacloudapi.cn/v1.0/users', unauthorized: refusal },
    },
    customers(itself),
  ],
  webhooks: graphWebhooks,
  calls: {
    checks: [
      {
        modes: ['oauth2_code', 'oidc'],
        url: [
          'https://graph.microsoft.com/v1.0/me',
          'https://graph.microsoft.us/v1.0/me',
          'https://microsoftgraph.chinacloudapi.cn/v1.0/me',
        ],
        answer: { id: '87d349ed-44d7-43e1-9a83-5f2406dee5bd', userPrincipalName: 'ada@contoso.com' },
        unauthorized: reply(401, {
          error: { code: 'InvalidAuthenticationToken', message: 'Lifetime validation failed, the token is expired.' },
        }),
        account: '87d349ed-44d7-43e1-9a83-5f2406dee5bd',
      },
      {
        modes: ['oauth2_client_credentials', 'customer_client'],
        url: [
          'https://graph.microsoft.com/v1.0/organization',
          'https://graph.microsoft.us/v1.0/organization',
          'https://microsoftgraph.chinacloudapi.cn/v1.0/organization',
        ],
        answer: { value: [{ id: '72f988bf-86f1-41af-91ab-2d7cd011db47' }] },
        unauthorized: reply(401, {
          error: { code: 'InvalidAuthenticationToken', message: 'Lifetime validation failed, the token is expired.' },
        }),
        account: '72f988bf-86f1-41af-91ab-2d7cd011db47',
      },
    ],
    limits: [
      { answer: reply(429, { error: { code: 'TooManyRequests' } }, { 'retry-after': '10' }), wait: 10 },
      { answer: reply(503, { error: { code: 'serviceNotAvailable' } }, { 'retry-after': '8' }), wait: 8 },
      {
        answer: reply(
          429,
          { error: { code: 'TooManyRequests' } },
          { 'ratelimit-limit': '200', 'ratelimit-remaining': '0', 'ratelimit-reset': '9' },
        ),
        wait: 9,
      },
    ],
  },
} satisfies Vendor;
