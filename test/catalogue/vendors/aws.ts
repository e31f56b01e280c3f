// docs.aws.amazon.com: IAM user guide (Signature Version 4)

import { reply, type Vendor } from '../emulator/vendor.ts';
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
  calls: {
    checks: [
      {
        method: 'POST',
        url: ['https://sts.eu-central-1.amazonaws.com/'],
        signatureScope: { region: 'eu-central-1', service: 'sts' },
        params: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
        headers: { accept: 'application/json' },
        answer: {
          GetCallerIdentityResponse: {
            GetCallerIdentityResult: {
              Account: '123456789012',
              Arn: 'arn:aws:iam::123456789012:user/ada',
              UserId: 'AIDAEXAMPLE',
            },
          },
        },
        unauthorized: reply(403, { Error: { Code: 'InvalidClientTokenId' } }),
        account: '123456789012',
      },
      {
        method: 'POST',
        url: ['https://sts.cn-north-1.amazonaws.com.cn/'],
        signatureScope: { region: 'cn-north-1', service: 'sts' },
        params: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
        headers: { accept: 'application/json' },
        answer: { GetCallerIdentityResponse: { GetCallerIdentityResult: { Account: '123456789012' } } },
        unauthorized: reply(403, { Error: { Code: 'InvalidClientTokenId' } }),
        account: '123456789012',
      },
    ],
    limits: [
      { answer: reply(400, { __type: 'com.amazonaws.sqs#ThrottlingException', message: 'Rate exceeded' }), wait: 1 },
      {
        answer: reply(400, '<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code></Error></ErrorResponse>', {
          'content-type': 'text/xml',
        }),
        wait: 1,
      },
      { answer: reply(503, '', { 'x-amzn-errortype': 'SlowDown:http://internal.amazon.com/' }), wait: 1 },
    ],
  },
} satisfies Vendor;
