// twilio.com/docs/sendgrid/for-developers/sending-email/authentication, …/api-reference/how-to-use-the-sendgrid-v3-api
import { generateKeyPairSync } from 'node:crypto';
import { pem } from '../../support/certificate.ts';
import { reply, type Vendor } from '../emulator/vendor.ts';
import { json } from '../emulator/webhook.ts';

const API_KEY = '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';
const refusal = reply(401, {
  errors: [{ message: 'The provided authorization grant is invalid, expired, or revoked', field: null, help: null }],
});

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });

export default {
  provider: 'sendgrid',
  rows: [
    {
      flow: 'static',
      mode: 'api_key',
      credentials: { api_key: API_KEY },
      api: { method: 'POST', url: 'https://api.sendgrid.com/v3/mail/send', unauthorized: refusal },
    },
    {
      flow: 'static',
      mode: 'api_key',
      variant: 'EU subuser',
      connection: { region: 'eu', on_behalf_of: 'example-subuser' },
      credentials: { api_key: API_KEY },
      api: {
        url: 'https://api.eu.sendgrid.com/v3/scopes',
        headers: { 'on-behalf-of': 'example-subuser' },
        unauthorized: refusal,
      },
    },
  ],
  webhooks: [
    {
      name: 'event webhook of two events',
      secrets: [pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')],
      keys: { own: pem(pair.privateKey), other: pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey) },
      send({ seconds, sign }) {
        // Ends with CRLF.
        const body =
          '[{"email":"a@example.com","event":"processed","sg_event_id":"sg-1"},\n{"event":"open","sg_event_id":"sg-2"}]\r\n';
        return json(
          {
            'X-Twilio-Email-Event-Webhook-Signature': sign(seconds + body, 'base64', 'sha256'),
            'X-Twilio-Email-Event-Webhook-Timestamp': seconds,
          },
          body,
        );
      },
      covers: [
        'body',
        'key',
        'algorithm',
        'time',
        'header:X-Twilio-Email-Event-Webhook-Signature',
        'header:X-Twilio-Email-Event-Webhook-Timestamp',
      ],
      event: { count: 2, id: 'sg-1', type: 'processed' },
    },
  ],
  calls: {
    checks: [
      {
        url: ['https://api.sendgrid.com/v3/scopes', 'https://api.eu.sendgrid.com/v3/scopes'],
        answer: { scopes: ['mail.send'] },
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { errors: [{ message: 'too many requests' }] },
          { 'x-ratelimit-limit': '600', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1795910425' },
        ),
        wait: 25,
      },
    ],
  },
} satisfies Vendor;
