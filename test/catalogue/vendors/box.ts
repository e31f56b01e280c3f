// developer.box.com/guides/authentication/oauth2, …/client-credentials, …/jwt/without-sdk, …/reference/post-oauth2-revoke

import { type IssuedTokens, reply, type Vendor } from '../emulator/vendor.ts';
import { json, type VendorWebhook } from '../emulator/webhook.ts';

const TOKEN_URL = 'https://api.box.com/oauth2/token';
/** Every error is a 400. */
const failed = (error: string, error_description: string) => reply(400, { error, error_description });
const client = failed('invalid_client', 'The client credentials are invalid');
const api = {
  url: 'https://api.box.com/2.0/users/me',
  answer: { type: 'user', id: '11446498', name: 'Aaron Levie' },
  unauthorized: reply(401, '', { 'www-authenticate': 'Bearer realm="Service", error="invalid_token"' }),
};
const minted = ({ access }: IssuedTokens) => ({
  access_token: access,
  expires_in: 4_169,
  restricted_to: [],
  token_type: 'bearer',
});
const coded = ({ access, refresh }: IssuedTokens) => ({
  access_token: access,
  expires_in: 4_169,
  restricted_to: [],
  refresh_token: refresh,
  token_type: 'bearer',
});
const code = {
  flow: 'code',
  mode: 'oauth2_code',
  account: { issuer: 'https://api.box.com', id: '11446498', name: 'Aaron Levie' },
  scopes: ['root_readwrite'],
  lifetime: 4_169,
  token: {
    url: TOKEN_URL,
    respond: coded,
    errors: { deadGrant: failed('invalid_grant', 'Invalid refresh token'), invalidClient: client },
  },
  refresh: { rotation: 'single_use' },
  // Of the two tokens, either ends both.
  revoke: { url: 'https://api.box.com/oauth2/revoke', ends: 'grant' },
  api,
} as const;

const signed =
  (header: string, asSigned: (body: string) => string): VendorWebhook['send'] =>
  ({ at, hmac }) => {
    const body = JSON.stringify({
      id: 'b1',
      trigger: 'FILE.UPLOADED',
      webhook: { id: '1' },
      created_by: { id: '226067247' },
      source: { name: 'é/x' },
    });
    const time = at.toISOString();
    const demanded = {
      'BOX-SIGNATURE-VERSION': '1',
      'BOX-SIGNATURE-ALGORITHM': 'HmacSHA256',
      'BOX-DELIVERY-TIMESTAMP': time,
    };
    return json({ ...demanded, [header]: hmac(asSigned(body) + time, 'base64') }, body);
  };

export default {
  provider: 'box',
  rows: [
    { ...code, scopes: ['root_readwrite'], authorize: { url: 'https://account.box.com/api/oauth2/authorize' } },
    {
      ...code,
      variant: 'verified enterprise',
      params: { login_host: 'ent.box.com' },
      scopes: ['root_readwrite', 'manage_webhook'],
      authorize: { url: 'https://ent.box.com/api/oauth2/authorize' },
    },
    {
      flow: 'minted',
      mode: 'oauth2_client_credentials',
      connection: { subject_type: 'enterprise', subject_id: '801234567' },
      lifetime: 4_169,
      token: {
        url: TOKEN_URL,
        params: { box_subject_type: 'enterprise', box_subject_id: '801234567' },
        respond: minted,
        errors: { deadGrant: failed('invalid_grant', 'Grant credentials are invalid'), invalidClient: client },
      },
      api,
    },
    {
      flow: 'minted',
      mode: 'jwt_bearer',
      client: { configuredAs: ['client_id', 'client_secret', 'private_key', 'key_id'] },
      connection: { subject_type: 'user', subject_id: '11446498' },
      lifetime: 4_169,
      assertion: {
        alg: 'RS512',
        header: { kid: '{key_id}' },
        claims: {
          iss: '{client_id}',
          sub: '11446498',
          box_sub_type: 'user',
          aud: TOKEN_URL,
          jti: /^.{16,128}$/,
        },
        maxLifetime: 60,
      },
      token: {
        url: TOKEN_URL,
        clientAuth: 'post',
        respond: minted,
        errors: { deadGrant: failed('invalid_grant', "Please check the 'sub' claim."), invalidClient: client },
      },
      api,
    },
  ],
  webhooks: [
    {
      name: 'file uploaded',
      secrets: ['primary-key'],
      send: signed('BOX-SIGNATURE-PRIMARY', (body) => body),
      covers: [
        'body',
        'key',
        'algorithm',
        'time',
        'header:BOX-SIGNATURE-PRIMARY',
        'header:BOX-DELIVERY-TIMESTAMP',
        'header:BOX-SIGNATURE-VERSION',
        'header:BOX-SIGNATURE-ALGORITHM',
      ],
      event: { id: 'b1', type: 'FILE.UPLOADED', locator: 'captured.user_id=226067247' },
    },
    {
      name: 'signed with the secondary key',
      secrets: ['secondary-key', 'primary-key'],
      send: signed('BOX-SIGNATURE-SECONDARY', (body) => body),
      covers: ['body', 'key', 'algorithm', 'time'],
    },
    {
      name: 'signed over its escaped form',
      secrets: ['primary-key'],
      send: signed('BOX-SIGNATURE-PRIMARY', (body) => body.replace('é', '\\u00e9').replaceAll('/', '\\/')),
      covers: ['body', 'key', 'algorithm', 'time'],
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://api.box.com/2.0/users/me?fields=id,enterprise',
        answer: { type: 'user', id: '11446498' },
        account: '11446498',
      },
    ],
    limits: [
      {
        answer: reply(429, { type: 'error', status: 429, code: 'rate_limit_exceeded' }, { 'retry-after': '9' }),
        wait: 9,
      },
    ],
  },
} satisfies Vendor;
