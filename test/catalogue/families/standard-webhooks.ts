// What the vendors share who sign as Standard Webhooks says: github.com/standard-webhooks/standard-webhooks (specification)
import { createHmac } from 'node:crypto';
import { json, type VendorWebhook } from '../emulator/webhook.ts';

/** `type`: the member of the body that the vendor names its events by. */
export const standardWebhook = (name: string, type: string): VendorWebhook => ({
  name,
  secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
  send({ seconds, hmac, key }) {
    const body = JSON.stringify({ type: 'user.created', object_kind: 'push', n: 1 });
    const signature = createHmac('sha256', Buffer.from(key.replace('whsec_', ''), 'base64'))
      .update(`msg_1.${seconds}.${body}`)
      .digest('base64');
    return json(
      {
        'webhook-id': 'msg_1',
        'webhook-timestamp': seconds,
        'webhook-signature': `v1,${hmac('', 'base64')} v1,${signature}`,
      },
      body,
    );
  },
  covers: ['body', 'key', 'time', 'header:webhook-id', 'header:webhook-timestamp', 'header:webhook-signature'],
  event: { id: 'msg_1', type },
});
