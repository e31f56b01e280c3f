// docs.aws.amazon.com: SES API v2 reference and endpoints

import { reply, type Vendor } from '../emulator/vendor.ts';
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
  calls: {
    checks: [
      {
        url: 'https://email.eu-central-1.amazonaws.com/v2/email/account',
        signatureScope: { region: 'eu-central-1', service: 'ses' },
        answer: { SendingEnabled: true, SendQuota: { Max24HourSend: 200 } },
        unauthorized: reply(403, { message: 'The security token included in the request is invalid.' }),
      },
    ],
    limits: [
      {
        answer: reply(429, { message: 'Too many requests' }, { 'x-amzn-errortype': 'TooManyRequestsException' }),
        wait: 1,
      },
    ],
  },
} satisfies Vendor;
