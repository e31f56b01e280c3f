// developer.vonage.com/concepts/guides/authentication, …/en/api/application.v2, …/en/api/voice
import { createHash } from 'node:crypto';
import { type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';
import { form, hs256, json } from '../emulator/webhook.ts';

const APPLICATION = '78d335fa-323d-0114-9c3d-d6f0d48968cf';
const refusal = reply(401, {
  type: 'https://developer.nexmo.com/api-troubles#unauthorized',
  title: 'Unauthorized',
  detail: 'You did not provide correct credentials.',
  instance: 'bf0ca0bf927b3b52e3cb03217e1a1ddf',
});
const signed = {
  flow: 'minted',
  mode: 'self_signed_jwt',
  client: { configuredAs: [] },
  connection: { application_id: APPLICATION },
  lifetime: 900,
  assertion: { claims: { application_id: APPLICATION, jti: true }, maxLifetime: 86_400 },
  credentials: ({ privateKey }) => ({ private_key: privateKey }),
  api: { url: 'https://api.nexmo.com/v1/calls', unauthorized: refusal },
} satisfies MintedRow;

const SECRET = 'Nx5TEhFqYpmnhQCMRUDTvnFhTcrqfSCzYv';

export default {
  provider: 'vonage',
  rows: [
    signed,
    {
      ...signed,
      variant: 'for a user, EU',
      connection: { application_id: APPLICATION, jwt_subject: 'alice', region: 'eu' },
      assertion: { ...signed.assertion, claims: { ...signed.assertion.claims, sub: 'alice' } },
      api: { url: 'https://api-eu.vonage.com/v1/conversations', unauthorized: refusal },
    },
    {
      flow: 'static',
      mode: 'basic',
      credentials: { api_key: 'abcd1234', api_secret: 'Not:a+Secret%1' },
      served: Buffer.from('abcd1234:Not:a+Secret%1').toString('base64'),
      api: { url: 'https://api.nexmo.com/v2/applications', tokenType: 'Basic', unauthorized: refusal },
    },
  ],
  webhooks: [
    {
      name: 'message status',
      secrets: [SECRET],
      send(sending) {
        const body = '{"status":"delivered","message_uuid":"m1","n":1}';
        const token = hs256(sending, {
          ...{ iss: 'Vonage', iat: Number(sending.seconds), jti: 'jti-1', api_key: 'a1b2c3d4', application_id: 'aaaa' },
          payload_hash: createHash('sha256').update(body).digest('hex'),
        });
        return json({ Authorization: `Bearer ${token}` }, body);
      },
      covers: ['body', 'key', 'algorithm', 'time', 'header:Authorization'],
      event: { id: 'jti-1', type: 'delivered', locator: 'params.application_id=aaaa' },
    },
    {
      name: 'signed SMS',
      secrets: [SECRET],
      send({ seconds, hmac }) {
        const fields = { messageId: 'M1', status: 'delivered', text: 'a&b=c', timestamp: seconds };
        const sig = hmac(`&messageId=M1&status=delivered&text=a_b_c&timestamp=${seconds}`, 'hex');
        return form({}, { ...fields, sig });
      },
      // The hash is set in the dashboard, so that any HMAC is right.
      covers: ['body', 'key', 'time'],
      event: { id: 'M1:delivered' },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['basic'],
        url: 'https://rest.nexmo.com/account/get-balance',
        answer: { value: 10.28, autoReload: false },
      },
    ],
    limits: [
      {
        answer: reply(200, {
          'message-count': '1',
          messages: [{ status: '1', 'error-text': 'Throughput Rate Exceeded' }],
        }),
        wait: 1,
      },
      { answer: reply(429, { title: 'Rate Limit Hit' }), wait: 1 },
    ],
  },
} satisfies Vendor;
