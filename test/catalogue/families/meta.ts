// What Meta's vendors send alike: developers.facebook.com/docs/graph-api/webhooks/getting-started,
// …/docs/facebook-login/guides/advanced/manual-flow (deauthorize callback)
import { form, signedBody, type VendorWebhook } from '../emulator/webhook.ts';

/** `object`: what has changed. */
export const metaWebhooks = (object: string): VendorWebhook[] => [
  {
    name: 'two changes of two entries',
    clientSecret: 'app secret',
    ...signedBody(
      'X-Hub-Signature-256',
      { prefix: 'sha256=' },
      {
        object,
        entry: [
          { id: 'p1', time: 1, changes: [{ field: 'feed', value: 1 }] },
          { id: 'p2', time: 2, changes: [{ field: 'feed', value: 1 }] },
        ],
      },
    ),
    event: { count: 2, type: `${object}.feed`, locator: 'captured.user_id=p1' },
  },
  {
    name: 'subscription',
    secrets: ['verify-token-of-ours'],
    send: ({ url, key }) => ({
      method: 'GET',
      url: `${url}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${key}`,
      headers: {},
      body: '',
    }),
    covers: ['key'],
    handshake: { body: '1158201444' },
  },
  {
    name: 'deauthorize callback',
    clientSecret: 'app secret',
    send({ hmac, seconds }) {
      const payload = Buffer.from(
        JSON.stringify({ algorithm: 'HMAC-SHA256', issued_at: Number(seconds), user_id: '218471' }),
      ).toString('base64url');
      return form({}, { signed_request: `${hmac(payload, 'base64url')}.${payload}` });
    },
    covers: ['key', 'algorithm'],
    event: { type: 'deauthorize', locator: 'captured.user_id=218471', deauthorization: true },
  },
];
