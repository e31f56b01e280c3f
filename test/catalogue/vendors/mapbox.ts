// docs.mapbox.com/api/accounts/tokens, …/api/overview, …/help/dive-deeper/access-tokens
import { reply, type Vendor } from '../emulator/vendor.ts';

export default {
  provider: 'mapbox',
  rows: [
    {
      flow: 'static',
      mode: 'api_key',
      credentials: { api_key: 'sk.eyJ1IjoiZXhhbXBsZSIsImEiOiJjbGV4YW1wbGUifQ.0123456789_abcdef-ghi' },
      api: {
        url: 'https://api.mapbox.com/search/geocode/v6/forward?q=Berlin',
        tokenType: 'query:access_token',
        answer: { type: 'FeatureCollection', features: [] },
        unauthorized: reply(401, { message: 'Not Authorized - Invalid Token', error_code: 'INVALID_TOKEN' }),
      },
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.mapbox.com/tokens/v2',
        answer: { code: 'TokenValid', token: { usage: 'sk', user: 'ada', authorization: 'x' } },
        unauthorized: reply(200, { code: 'TokenInvalid' }),
        account: 'ada',
      },
    ],
    limits: [
      {
        answer: reply(
          429,
          { message: 'Rate limit exceeded' },
          { 'x-rate-limit-interval': '60', 'x-rate-limit-limit': '1000', 'x-rate-limit-reset': '1795910430' },
        ),
        wait: 30,
      },
    ],
  },
} satisfies Vendor;
