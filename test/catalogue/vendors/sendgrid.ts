// twilio.com/docs/sendgrid/for-developers/sending-email/authentication, …/api-reference/how-to-use-the-sendgrid-v3-api
import { reply, type Vendor } from '../emulator/vendor.ts';

const API_KEY = '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';
const refusal = reply(401, {
  errors: [{ message: 'The provided authorization grant is invalid, expired, or revoked', field: null, help: null }],
});

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
} satisfies Vendor;
