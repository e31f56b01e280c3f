// openid.net/specs/openid-connect-core-1_0.html, …/openid-connect-discovery-1_0.html, rfc-editor.org: RFC 6749, 7009, 7523, 9207
import type { CodeRow, Vendor } from '../emulator/vendor.ts';

const provider = (issuer: string) => {
  const at = issuer.replace(/\/$/, '');
  return {
    flow: 'code',
    mode: 'oidc',
    params: { issuer },
    scopes: ['openid', 'offline_access'],
    // Core 11: offline access is only given with it.
    authorize: { url: `${at}/authorize`, params: { prompt: 'consent' } },
    token: { url: `${at}/token`, client: 'basic' },
    refresh: { rotation: 'single_use' },
    revoke: { url: `${at}/revoke` },
    oidc: { issuer },
    api: { url: `${at}/userinfo`, apart: true },
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
      flavour: 'post, RFC 9207',
      authorize: {
        ...realm.authorize,
        pkce: 'required',
        callback: () => ({ iss: 'https://id.example.com/realms/acme' }),
        guards: ['iss'],
      },
      token: { ...realm.token, client: 'post' },
      refresh: { rotation: 'grace' },
      oidc: {
        ...realm.oidc,
        metadata: { authorization_response_iss_parameter_supported: true, frontchannel_logout_supported: true },
      },
    },
    {
      ...tenant,
      flavour: 'public client, slash at the end',
      client: { gives: ['client_id'] },
      authorize: { ...tenant.authorize, pkce: 'required' },
      token: { ...tenant.token, client: 'id_only' },
    },
    {
      ...plain,
      flavour: 'private key',
      client: { gives: ['client_id', 'private_key', 'key_id'], key: 'ES256' },
      token: {
        ...plain.token,
        client: 'private_key_jwt',
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
      flavour: 'secret as a key',
      token: {
        ...plain.token,
        client: 'client_secret_jwt',
        clientAssertion: { claims: { aud: /^https:\/\/id\.example\.com(\/token)?$/ } },
      },
      refresh: { rotation: 'same' },
    },
    {
      ...plain,
      flavour: 'without offline access',
      scopes: ['openid', 'profile'],
      authorize: { url: plain.authorize.url },
      refresh: { rotation: 'sometimes' },
    },
  ],
} satisfies Vendor;
