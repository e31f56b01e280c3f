// documentation.mailgun.com/docs/mailgun/api-reference/mg-auth, …/mailgun/api-reference/api-overview
import { type GivenRow, say, type Vendor } from '../emulator/vendor.ts';

const KEY = 'key-00000000000000000000000000000000-0a1b2c3d-4e5f6a7b';
const row = (host: string) =>
  ({
    flow: 'given',
    mode: 'basic',
    connection: { domain: 'mg.example.com' },
    credentials: { api_key: KEY },
    serves: Buffer.from(`api:${KEY}`).toString('base64'),
    api: {
      url: `https://${host}/v3/mg.example.com/events`,
      takes: 'Basic',
      refusal: say(401, 'Forbidden'),
    },
  }) satisfies GivenRow;

export default {
  provider: 'mailgun',
  rows: [
    row('api.mailgun.net'),
    { ...row('api.eu.mailgun.net'), flavour: 'EU', connection: { domain: 'mg.example.com', region: 'eu' } },
  ],
} satisfies Vendor;
