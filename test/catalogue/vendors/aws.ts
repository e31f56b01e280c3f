// docs.aws.amazon.com: IAM user guide (Signature Version 4)

import type { Vendor } from '../emulator/vendor.ts';
import { assumed, given, KEYS } from '../families/aws.ts';
import { snsWebhooks } from '../families/sns.ts';

const params = { service: 'sqs' };
const region = 'eu-central-1';
const apiIn = (where: string, domain: string) => ({
  url: `https://sqs.${where}.${domain}/`,
  tokenType: 'AWS4-HMAC-SHA256',
  signatureScope: { region: where, service: 'sqs' },
});
const api = apiIn(region, 'amazonaws.com');
const temporary = {
  ...KEYS,
  access_key_id: 'ASIAIOSFODNN7EXAMPLE',
  session_token: 'IQoJb3JpZ2luX2VjEXAMPLE/+=',
};

export default {
  provider: 'aws',
  rows: [
    { ...given(KEYS), params, connection: { region }, api },
    { ...given(temporary), variant: 'temporary keys', params, connection: { region }, api },
    { ...assumed('arn:aws:iam::123456789012:role/valetkey', region), params, api },
    {
      ...assumed('arn:aws-cn:iam::123456789012:role/valetkey', 'cn-north-1', 'amazonaws.com.cn'),
      variant: 'China',
      params: { ...params, partition: 'aws-cn' },
      api: apiIn('cn-north-1', 'amazonaws.com.cn'),
    },
  ],
  webhooks: snsWebhooks,
} satisfies Vendor;
