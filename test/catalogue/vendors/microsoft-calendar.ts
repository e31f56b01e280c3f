// learn.microsoft.com/en-us/graph/permissions-reference

import { type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { busy, customers, failed, graphWebhooks, LOGIN, machine, refusal, signIn } from '../families/entra.ts';

const CALENDARS = 'https://graph.microsoft.com/Calendars.ReadWrite';
const TENANT = 'contoso.onmicrosoft.com';
const user = signIn(`${LOGIN}/common`, 3_599);
const china = signIn('https://login.partner.microsoftonline.cn/contoso.partner.onmschina.cn', 3_599);
const itself = {
  ...machine(`${LOGIN}/${TENANT}`),
  connection: { tenant: TENANT },
  scopes: ['https://graph.microsoft.com/.default'],
  api: { url: 'https://graph.microsoft.com/v1.0/users/ada@contoso.com/events', unauthorized: refusal },
} satisfies MintedRow;

export default {
  provider: 'microsoft-calendar',
  rows: [
    {
      ...user,
      scopes: ['offline_access', CALENDARS],
      granted: [CALENDARS],
      token: {
        ...user.token,
        errors: {
          ...user.token.errors,
          deadGrant: failed(400, 'invalid_grant', 70_008, 'The provided refresh token has expired due to inactivity.'),
          rateLimited: busy,
        },
      },
      refresh: { rotation: 'grace', params: { scope: /^(?=.*Calendars\.ReadWrite\b)(?=.*\boffline_access\b)/ } },
      api: { url: 'https://graph.microsoft.com/v1.0/me/events', unauthorized: refusal },
    },
    {
      ...china,
      variant: 'China',
      params: { tenant: 'contoso.partner.onmschina.cn', cloud: 'china', graph: 'china', prompt: 'consent' },
      scopes: ['offline_access', 'https://microsoftgraph.chinacloudapi.cn/Calendars.Read'],
      granted: ['https://microsoftgraph.chinacloudapi.cn/Calendars.Read'],
      authorize: { ...china.authorize, params: { response_mode: 'query', prompt: 'consent' } },
      token: {
        ...china.token,
        errors: {
          ...china.token.errors,
          deadGrant: failed(400, 'interaction_required', 50_076, 'You must use multi-factor authentication.'),
        },
      },
      refresh: { rotation: 'grace', params: { scope: null } },
      api: { url: 'https://microsoftgraph.chinacloudapi.cn/v1.0/me/events', unauthorized: refusal },
    },
    itself,
    customers(itself),
  ],
  webhooks: graphWebhooks,
  calls: {
    checks: [
      {
        modes: ['oauth2_code'],
        url: [
          'https://graph.microsoft.com/v1.0/me',
          'https://graph.microsoft.us/v1.0/me',
          'https://microsoftgraph.chinacloudapi.cn/v1.0/me',
        ],
        answer: { id: '87d349ed-44d7-43e1-9a83-5f2406dee5bd' },
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
      {
        answer: reply(
          429,
          { error: { code: 'ApplicationThrottled', innerError: { code: 'MailboxConcurrency' } } },
          { 'retry-after': '5' },
        ),
        wait: 5,
      },
    ],
  },
} satisfies Vendor;
