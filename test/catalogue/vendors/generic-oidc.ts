// openid.net/specs/openid-connect-core-1_0.html, …/openid-connect-discovery-1_0.html, rfc-editor.org: RFC 6749, 7009, 7523, 9207
import { type CodeRow, reply, type Vendor } from '../emulator/vendor.ts';
import { standardWebhook } from '../families/standard-webhooks.ts';

const provider = (issuer: string) => {
  const at = issuer.replace(/\/$/, '');
  return {
    flow: 'code',
    mode: 'oidc',
    params: { issuer },
    scopes: ['openid', 'offline_access'],
    // Core 11: offline access is only given with it.
    authorize: { url: `${at}/authorize`, params: { prompt: 'consent' } },
    token: { url: `${at}/token`, clientAuth: 'basic' },
    refresh: { rotation: 'single_use' },
    revoke: { url: `${at}/revoke` },
    oidc: { issuer },
    api: { url: `${at}/userinfo`, outsideApiBase: true },
  } as const satisfies CodeRow;
};
const plain = provider('https://id.example.com');
const realm = provider('https://id.example.com/realms/acme');
const tenant = provider('https://tenant.id.example.com/');

export default {
  provider: 'generic-oidc',
  rows: [
    plain,
    {
      ...realm,
      variant: 'post, RFC 9207',
      authorize: {
        ...realm.authorize,
        pkce: 'required',
        callback: () => ({ iss: 'https://id.example.com/realms/acme' }),
        verifiedParams: ['iss'],
      },
      token: { ...realm.token, clientAuth: 'post' },
      refresh: { rotation: 'grace' },
      oidc: {
        ...realm.oidc,
        metadata: { authorization_response_iss_parameter_supported: true, frontchannel_logout_supported: true },
      },
    },
    {
      ...tenant,
      variant: 'public client, slash at the end',
      client: { configuredAs: ['client_id'] },
      authorize: { ...tenant.authorize, pkce: 'required' },
      token: { ...tenant.token, clientAuth: 'id_only' },
    },
    {
      ...plain,
      variant: 'private key',
      client: { configuredAs: ['client_id', 'private_key', 'key_id'], key: 'ES256' },
      token: {
        ...plain.token,
        clientAuth: 'private_key_jwt',
        clientAssertion: {
          alg: 'ES256',
          header: { kid: '{key_id}' },
          // RFC 7523 3, and the security considerations that came later: one of the two.
          claims: { aud: /^https:\/\/id\.example\.com(\/token)?$/ },
        },
      },
      refresh: { rotation: 'omitted' },
      oidc: { ...plain.oidc, metadata: { token_endpoint_auth_signing_alg_values_supported: ['ES256'] } },
    },
    {
      ...plain,
      variant: 'secret as a key',
      token: {
        ...plain.token,
        clientAuth: 'client_secret_jwt',
        clientAssertion: { claims: { aud: /^https:\/\/id\.example\.com(\/token)?$/ } },
      },
      refresh: { rotation: 'same' },
    },
    {
      ...plain,
      variant: 'without offline access',
      scopes: ['openid', 'profile'],
      authorize: { url: plain.authorize.url },
      refresh: { rotation: 'sometimes' },
    },
  ],
  webhooks: [standardWebhook('Standard Webhooks', 'user.created')],
  calls: {
    checks: [{ modes: ['oidc'], url: 'https://**/userinfo', answer: { sub: 'ada' } }],
    limits: [{ answer: reply(429, '', { 'retry-after': '4' }), wait: 4 }],
  },
} satisfies Vendor;
