// learn.microsoft.com/en-us/rest/api/azure

import type { MintedRow, Vendor } from '../emulator/vendor.ts';
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
} satisfies Vendor;
