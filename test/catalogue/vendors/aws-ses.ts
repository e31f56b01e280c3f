// docs.aws.amazon.com: SES API v2 reference and endpoints

import type { Vendor } from '../emulator/vendor.ts';
import { assumed, given, KEYS } from '../families/aws.ts';
import { snsWebhooks } from '../families/sns.ts';

const region = 'eu-central-1';
/** The host name has `email`, the signature's scope `ses`. */
const api = {
  url: 'https://email.eu-central-1.amazonaws.com/v2/email/account',
  tokenType: 'AWS4-HMAC-SHA256',
  signatureScope: { region, service: 'ses' },
};

export default {
  provider: 'aws-ses',
  rows: [
    { ...given(KEYS), connection: { region, configuration_set: 'transactional' }, api },
    { ...assumed('arn:aws:iam::123456789012:role/valetkey', region), api },
  ],
  webhooks: snsWebhooks,
} satisfies Vendor;
