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
} satisfies Vendor;
