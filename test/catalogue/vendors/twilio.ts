// twilio.com/docs/iam/oauth-apps, …/iam/api-keys, …/usage/requests-to-twilio
import type { IssuedTokens, Vendor } from '../emulator/vendor.ts';

const ACCOUNT = 'AC00000000000000000000000000000001';
const api = { url: `https://api.twilio.com/2010-04-01/Accounts/${ACCOUNT}.json` };
const token = {
  url: 'https://oauth.twilio.com/v2/token',
  answer: ({ access }: IssuedTokens) => ({
    access_token: access,
    token_type: 'Bearer',
    expires_in: 3_600,
    id_token: null,
    refresh_token: null,
  }),
};

export default {
  provider: 'twilio',
  rows: [
    {
      flow: 'static',
      mode: 'basic',
      connection: { account_sid: ACCOUNT },
      credentials: { username: 'SK00000000000000000000000000000002', password: 'not:a-real+secret' },
      api,
    },
    { flow: 'minted', mode: 'oauth2_client_credentials', token, api },
    {
      flow: 'minted',
      mode: 'customer_client',
      client: { id: 'OQexample0123456789', configuredAs: [] },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
      token,
      api,
    },
    {
      flow: 'code',
      mode: 'organization_oauth_app',
      scopes: ['offline_access'],
      authorize: { url: 'https://oauth.twilio.com/v2/authorize' },
      token: { url: token.url },
      refresh: { rotation: 'sometimes' },
      revoke: { url: 'https://oauth.twilio.com/v2/revoke' },
      api,
    },
  ],
} satisfies Vendor;
