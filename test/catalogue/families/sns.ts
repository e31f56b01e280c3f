// What AWS's services send by SNS: docs.aws.amazon.com: SNS developer guide (verifying the signatures of messages, HTTP
// notifications and subscription confirmations)
import { createSign } from 'node:crypto';
import { rsa, type Sending, type VendorWebhook } from '../emulator/webhook.ts';

const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:feedback';
const message =
  (version: '1' | '2', extra: Record<string, string>) =>
  ({ at, sign }: Sending) => {
    const all: Record<string, string> = {
      MessageId: 'da41e39f',
      TopicArn: TOPIC,
      Timestamp: at.toISOString(),
      ...extra,
    };
    const names = ['Message', 'MessageId', 'SubscribeURL', 'Subject', 'Timestamp', 'Token', 'TopicArn', 'Type'];
    const text = names.map((name) => (all[name] === undefined ? '' : `${name}\n${all[name]}\n`)).join('');
    const body = {
      ...all,
      SignatureVersion: version,
      Signature: version === '1' ? sha1(text) : sign(text, 'base64', 'sha256'),
      SigningCertURL: 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem',
    };
    return {
      headers: { 'Content-Type': 'text/plain; charset=UTF-8', 'x-amz-sns-message-type': all.Type! },
      body: JSON.stringify(body),
    };
    function sha1(signed: string) {
      return createSign('sha1').update(signed).sign(rsa.own, 'base64');
    }
  };

export const snsWebhooks = [
  {
    name: 'notification, signature version 2',
    secrets: [TOPIC],
    keys: rsa,
    send: message('2', {
      Type: 'Notification',
      Message: JSON.stringify({ eventType: 'Bounce', mail: { sendingAccountId: '123456789012' } }),
      Subject: 'Amazon SES',
    }),
    covers: ['key', 'algorithm', 'time'],
    event: { id: 'da41e39f', type: 'Bounce' },
  },
  {
    name: 'notification, signature version 1',
    secrets: [TOPIC],
    keys: rsa,
    send: message('1', { Type: 'Notification', Message: 'plain' }),
    covers: ['time'],
    event: { id: 'da41e39f', type: 'Notification' },
  },
  {
    name: 'notification of one of several topics',
    secrets: ['arn:aws:sns:eu-west-1:999999999999:feedback', TOPIC],
    keys: rsa,
    send: message('2', { Type: 'Notification', Message: 'plain' }),
    covers: ['key'],
  },
  {
    name: 'subscription confirmation',
    secrets: [TOPIC],
    keys: rsa,
    send: message('2', {
      Type: 'SubscriptionConfirmation',
      Message: 'You have chosen to subscribe',
      Token: 't1',
      SubscribeURL: 'https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t1',
    }),
    covers: ['key', 'algorithm'],
    handshake: {},
  },
] satisfies VendorWebhook[];
