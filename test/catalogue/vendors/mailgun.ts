// documentation.mailgun.com/docs/mailgun/api-reference/mg-auth, …/mailgun/api-reference/api-overview
import { reply, type StaticRow, type Vendor } from '../emulator/vendor.ts';

const KEY = 'key-00000000000000000000000000000000-0a1b2c3d-4e5f6a7b';
const row = (host: string) =>
  ({
    flow: 'static',
    mode: 'basic',
    connection: { domain: 'mg.example.com' },
    credentials: { api_key: KEY },
    served: Buffer.from(`api:${KEY}`).toString('base64'),
    api: {
      url: `https://${host}/v3/mg.example.com/events`,
      tokenType: 'Basic',
      unauthorized: reply(401, 'Forbidden'),
    },
  }) satisfies StaticRow;

export default {
  provider: 'mailgun',
  rows: [
    row('api.mailgun.net'),
    { ...row('api.eu.mailgun.net'), variant: 'EU', connection: { domain: 'mg.example.com', region: 'eu' } },
  ],
} satisfies Vendor;
