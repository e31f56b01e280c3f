// learn.microsoft.com/en-us/rest/api/azure

import { type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';
import { customers, LOGIN, machine, refusal, signIn } from '../families/entra.ts';

const TENANT = 'contoso.onmicrosoft.com';
const SUBSCRIPTION = '00000000-0000-4000-8000-000000000000';
const IMPERSONATION = 'https://management.azure.com/user_impersonation';
const VERSION = 'api-version=2022-12-01';

const itself = {
  ...machine(`${LOGIN}/${TENANT}`),
  connection: { tenant: TENANT },
  scopes: ['https://management.azure.com/.default'],
  api: { url: `https://management.azure.com/subscriptions?${VERSION}`, unauthorized: refusal },
} satisfies MintedRow;

export default {
  provider: 'azure',
  rows: [
    itself,
    {
      ...itself,
      ...machine(`https://login.microsoftonline.us/${TENANT}`),
      variant: 'US government',
      params: { cloud: 'us-gov', management: 'us-gov' },
      scopes: ['https://management.usgovcloudapi.net/.default'],
      api: { url: `https://management.usgovcloudapi.net/subscriptions?${VERSION}`, unauthorized: refusal },
    },
    {
      ...customers(itself),
      connection: { tenant: TENANT, subscription_id: SUBSCRIPTION },
      api: { url: `https://management.azure.com/subscriptions/${SUBSCRIPTION}?${VERSION}`, unauthorized: refusal },
    },
    {
      ...signIn(`${LOGIN}/organizations`, 4_711),
      scopes: [IMPERSONATION, 'offline_access'],
      granted: [IMPERSONATION],
      // One resource only, named again.
      refresh: { rotation: 'grace', params: { scope: /^(?=.*\/user_impersonation\b)(?=.*\boffline_access\b)/ } },
      api: itself.api,
    },
  ],
  webhooks: [
    {
      name: 'Event Grid',
      secrets: ['t0ken-of-our-own'],
      send: ({ key }) =>
        json({ 'X-Webhook-Token': key, 'aeg-event-type': 'Notification' }, [
          { id: 'e1', eventType: 'Microsoft.Storage.BlobCreated', topic: '/subscriptions/319a9601/resourceGroups/x' },
        ]),
      covers: ['key', 'header:X-Webhook-Token'],
      event: { id: 'e1', type: 'Microsoft.Storage.BlobCreated', locator: 'params.subscription_id=319a9601' },
    },

    {
      name: 'CloudEvents',
      secrets: ['t0ken-of-our-own'],
      send: ({ key }) =>
        json(
          { 'X-Webhook-Token': key },
          { specversion: '1.0', id: 'e2', type: 'x.y', source: '/subscriptions/319a9601/z' },
        ),
      covers: ['key', 'header:X-Webhook-Token'],
      event: { id: 'e2', type: 'x.y', locator: 'params.subscription_id=319a9601' },
    },

    {
      name: 'subscription validation',
      send: () =>
        json({ 'aeg-event-type': 'SubscriptionValidation' }, [
          { id: '1', data: { validationCode: '512d38b6-c7b8-40c8-89fe-f46f9e9622b6' } },
        ]),
      covers: [],
      handshake: { body: '{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}' },
    },
    {
      name: 'abuse protection of CloudEvents',
      send: () => ({ method: 'OPTIONS', headers: { 'WebHook-Request-Origin': 'eventgrid.azure.net' }, body: '' }),
      covers: [],
      handshake: { header: ['webhook-allowed-origin', 'eventgrid.azure.net'] },
    },
  ],
  calls: {
    checks: [
      {
        url: [
          'https://management.azure.com/subscriptions?api-version=2022-12-01',
          'https://management.usgovcloudapi.net/subscriptions?api-version=2022-12-01',
        ],
        answer: { value: [{ subscriptionId: 's', tenantId: '72f988bf-86f1-41af-91ab-2d7cd011db47' }] },
        unauthorized: reply(401, { error: { code: 'ExpiredAuthenticationToken' } }),
        account: '72f988bf-86f1-41af-91ab-2d7cd011db47',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { error: { code: 'SubscriptionRequestsThrottled' } },
          { 'x-ms-ratelimit-remaining-subscription-reads': '0', 'retry-after': '6' },
        ),
        wait: 6,
      },
    ],
  },
} satisfies Vendor;
