// help.salesforce.com: remoteaccess_oauth_web_server_flow, …_refresh_token_flow, …_jwt_flow, …_client_credentials_flow,
// …_revoke_token, …_flow_errors, …_using_openid_discovery_endpoint
import { type CodeRow, type IssuedTokens, type MintedRow, reply, type Vendor } from '../emulator/vendor.ts';

const INSTANCE = 'https://example.my.salesforce.com';
const idAt = (host: string) => `https://${host}/id/00D50000000IZ3ZEAW/00550000001fg5OAAQ`;
const failed = (error: string, error_description: string) => reply(400, { error, error_description });
const errors = {
  deadGrant: failed('invalid_grant', 'expired access/refresh token'),
  invalidClient: failed('invalid_client', 'invalid client credentials'),
  rateLimited: failed('rate_limit_exceeded', 'Number of login requests has been exceeded'),
};
const api = {
  url: `${INSTANCE}/services/data/v64.0/sobjects`,
  unauthorized: reply(401, [{ message: 'Session expired or invalid', errorCode: 'INVALID_SESSION_ID' }]),
};

/** Nothing is said of how long it lives. */
const respondWith =
  (host: string) =>
  ({ access, refresh, scopes, body: { id_token } }: IssuedTokens) => ({
    access_token: access,
    ...(refresh !== undefined && { refresh_token: refresh }),
    signature: 'SSSbLO/gBhmmyNUvN18ODBDFYHzakxOMgqYtu+hDPsc=',
    scope: scopes.join(' '),
    ...(id_token !== undefined && { id_token }),
    instance_url: INSTANCE,
    id: idAt(host),
    token_type: 'Bearer',
    issued_at: String(Date.now()),
  });
const captured = (host: string) => ({ instance_url: INSTANCE, identity_url: idAt(host) });

const codeAt = (host: string) =>
  ({
    flow: 'code',
    mode: 'oauth2_code',
    scopes: ['api', 'refresh_token'],
    tokens: { access: '00D50000000IZ3Z!', refresh: '5Aep861' },
    lifetime: null,
    authorize: { url: `https://${host}/services/oauth2/authorize` },
    token: {
      url: `https://${host}/services/oauth2/token`,
      clientAuth: ['post', 'basic'],
      respond: respondWith(host),
      errors,
    },
    refresh: { rotation: 'omitted' },
    // The token is proof enough; of a refresh token, all that came of it goes.
    revoke: { url: `https://${host}/services/oauth2/revoke`, clientAuth: ['none', 'post', 'basic'] },
    api,
    account: { issuer: 'https://login.salesforce.com', id: '00D50000000IZ3ZEAW/00550000001fg5OAAQ', name: null },
    captured: captured(host),
    expects: { lifetime: 7_200 },
  }) satisfies CodeRow;
const anywhere = codeAt('login.salesforce.com');
const sandbox = codeAt('example--uat.sandbox.my.salesforce.com');

const jwt = {
  flow: 'minted',
  mode: 'jwt_bearer',
  client: { configuredAs: ['client_id', 'private_key'] },
  connection: { username: 'integration@example.com' },
  granted: ['web', 'openid', 'api', 'id'],
  tokens: { access: '00D50000000IZ3Z!' },
  lifetime: null,
  assertion: {
    claims: { iss: '{client_id}', sub: 'integration@example.com', aud: 'https://login.salesforce.com' },
    maxLifetime: 180,
  },
  token: {
    url: 'https://login.salesforce.com/services/oauth2/token',
    respond: ({ access, scopes }: IssuedTokens) => ({
      access_token: access,
      scope: scopes.join(' '),
      instance_url: INSTANCE,
      id: idAt('login.salesforce.com'),
      token_type: 'Bearer',
    }),
    errors: { ...errors, deadGrant: failed('invalid_grant', "user hasn't approved this consumer") },
  },
  api,
  captured: captured('login.salesforce.com'),
  expects: { lifetime: 7_200 },
} satisfies MintedRow;

const client = {
  flow: 'minted',
  mode: 'oauth2_client_credentials',
  connection: { my_domain: 'example', session_seconds: '3600' },
  granted: ['api'],
  tokens: { access: '00D50000000IZ3Z!' },
  lifetime: null,
  token: {
    url: `${INSTANCE}/services/oauth2/token`,
    clientAuth: ['post', 'basic'],
    respond: respondWith('login.salesforce.com'),
    errors: { ...errors, deadGrant: failed('inactive_user', 'user is inactive') },
  },
  api,
  captured: captured('login.salesforce.com'),
  expects: { lifetime: 3_600 },
} satisfies MintedRow;

export default {
  provider: 'salesforce',
  rows: [
    anywhere,
    {
      ...sandbox,
      variant: 'partner, with rotation',
      params: { prompt: 'login-consent', api_version: '65.0' },
      connection: { login_host: 'example--uat.sandbox.my.salesforce.com', session_seconds: '900' },
      authorize: { ...sandbox.authorize, pkce: 'required', params: { prompt: 'login consent' } },
      refresh: { rotation: 'single_use' },
      api: { ...api, url: `${INSTANCE}/services/data/v65.0/sobjects` },
      expects: { lifetime: 900 },
    },
    {
      ...anywhere,
      variant: 'signed client',
      client: { configuredAs: ['client_id', 'private_key'] },
      token: { ...anywhere.token, clientAuth: 'private_key_jwt' },
      revoke: {
        ...anywhere.revoke,
        clientAuth: ['none', 'private_key_jwt'],
        clientAssertion: { claims: { aud: true } },
      },
    },
    {
      ...anywhere,
      mode: 'oidc',
      account: undefined,
      scopes: ['openid', 'api', 'refresh_token'],
      oidc: {
        issuer: 'https://login.salesforce.com',
        metadata: {
          jwks_uri: 'https://login.salesforce.com/id/keys',
          userinfo_endpoint: 'https://login.salesforce.com/services/oauth2/userinfo',
          introspection_endpoint: 'https://login.salesforce.com/services/oauth2/introspect',
          token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic', 'private_key_jwt'],
          display_values_supported: ['page', 'popup', 'touch'],
        },
        claims: { sub: idAt('login.salesforce.com') },
      },
    },
    jwt,
    {
      ...jwt,
      mode: 'customer_jwt',
      client: { configuredAs: [] },
      connection: { username: 'integration@example.com', login_host: 'test.salesforce.com', audience: 'sandbox' },
      assertion: { ...jwt.assertion, claims: { ...jwt.assertion.claims, aud: 'https://test.salesforce.com' } },
      token: { ...jwt.token, url: 'https://test.salesforce.com/services/oauth2/token' },
      credentials: ({ clientId, privateKey }) => ({ consumer_key: clientId, private_key: privateKey }),
    },
    client,
    {
      ...client,
      mode: 'customer_client',
      client: { configuredAs: [] },
      token: { ...client.token, errors: { ...errors, deadGrant: errors.invalidClient } },
      credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
    },
  ],
  webhooks: [
    {
      name: 'outbound message of two notifications',
      hook: true,
      send: () => ({
        headers: { 'Content-Type': 'text/xml; charset=utf-8' },
        body: `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>00D000000000001EAA</OrganizationId>${['04l1', '04l2'].map((id) => `<Notification><Id>${id}</Id><sObject xsi:type="sf:Account" xmlns:sf="urn:sobject"><sf:Id>001</sf:Id></sObject></Notification>`).join('')}</notifications></soapenv:Body></soapenv:Envelope>`,
      }),
      covers: [],
      event: { count: 2, id: '04l1', type: 'sf:Account' },
      isAuthenticated: false,
    },
  ],
  calls: {
    checks: [
      {
        url: 'https://*/services/data/*/limits',
        answer: { DailyApiRequests: { Max: 15000, Remaining: 14998 } },
        unauthorized: reply(401, [{ message: 'Session expired or invalid', errorCode: 'INVALID_SESSION_ID' }]),
      },
    ],
    limits: [
      {
        answer: reply(403, [{ message: 'TotalRequests Limit exceeded.', errorCode: 'REQUEST_LIMIT_EXCEEDED' }], {
          'sforce-limit-info': 'api-usage=5000/5000',
        }),
        wait: 1,
      },
      { answer: reply(503, [{ errorCode: 'SERVER_UNAVAILABLE' }]), wait: 1 },
    ],
  },
} satisfies Vendor;
