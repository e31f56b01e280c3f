// What Microsoft's vendors share by Entra ID: learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow,
// …/v2-oauth2-client-creds-grant-flow, …/reference-error-codes, …/authentication-national-cloud; and by Graph:
// learn.microsoft.com/en-us/graph/errors, …/graph/throttling, …/graph/change-notifications-delivery-webhooks
import { type CodeRow, type IssuedTokens, type MintedRow, reply } from '../emulator/vendor.ts';
import { json, type VendorWebhook } from '../emulator/webhook.ts';

export const LOGIN = 'https://login.microsoftonline.com';
export const CLIENT = { id: '00001111-aaaa-2222-bbbb-3333cccc4444' };

/** In Entra's error shape: `code` is the number after AADSTS. */
export const failed = (status: number, error: string, code: number, what: string) =>
  reply(status, {
    error,
    error_description: `AADSTS${code}: ${what} Trace ID: 0000aaaa Timestamp: 2026-11-22 00:00:00Z`,
    error_codes: [code],
    timestamp: '2026-11-22 00:00:00Z',
    trace_id: '0000aaaa-11bb-cccc-dd22-eeeeee333333',
    correlation_id: 'aaaa0000-bb11-2222-33cc-444444dddddd',
    error_uri: `https://login.microsoftonline.com/error?code=${code}`,
  });
const client = failed(401, 'invalid_client', 7_000_215, 'Invalid client secret provided.');
export const busy = reply(
  429,
  { error: { code: 'TooManyRequests', message: 'Too many requests' } },
  { 'retry-after': '10' },
);
/** Of Microsoft Graph and of Azure Resource Manager. */
export const refusal = reply(401, {
  error: { code: 'InvalidAuthenticationToken', message: 'Lifetime validation failed, the token is expired.' },
});

/** A user signs in. `offline_access` returns a refresh token, and is never among the granted scopes. */
export const signIn = (authority: string, lifetime: number) =>
  ({
    flow: 'code',
    mode: 'oauth2_code',
    tokens: { access: 'eyJ0eXAi.', refresh: '1.AXEA.' },
    lifetime,
    authorize: {
      url: `${authority}/oauth2/v2.0/authorize`,
      params: { response_mode: 'query', prompt: null },
      callback: () => ({ session_state: '005f1a4b-0a11-4f2d-9c55-aabbccddeeff' }),
    },
    token: {
      url: `${authority}/oauth2/v2.0/token`,
      params: { scope: null },
      respond: ({ body }: IssuedTokens) => ({ ...body, ext_expires_in: lifetime }),
      errors: {
        deadGrant: failed(400, 'invalid_grant', 700_082, 'The refresh token has expired due to inactivity.'),
        invalidClient: client,
      },
    },
  }) satisfies Partial<CodeRow>;

/** The client asks for itself. */
export const machine = (authority: string, lifetime = 3_599) =>
  ({
    flow: 'minted',
    mode: 'oauth2_client_credentials',
    lifetime,
    token: {
      url: `${authority}/oauth2/v2.0/token`,
      respond: ({ access }: IssuedTokens) => ({
        token_type: 'Bearer',
        expires_in: lifetime,
        ext_expires_in: lifetime,
        access_token: access,
      }),
      errors: { invalidClient: client },
    },
  }) satisfies Partial<MintedRow>;

/** The same where the client is the customer's own: when it is refused, the connection is dead. */
export const customers = (row: MintedRow & { token: object }) =>
  ({
    ...row,
    mode: 'customer_client',
    client: { ...CLIENT, configuredAs: [] },
    token: { ...row.token, errors: { deadGrant: client, invalidClient: client } },
    credentials: ({ clientId, clientSecret }) => ({ client_id: clientId, client_secret: clientSecret }),
  }) satisfies MintedRow;

/** Microsoft Graph's change notifications, and how it checks the URL. */
export const graphWebhooks: VendorWebhook[] = [
  {
    name: 'change notification of two items',
    secrets: ['client-state-1'],
    send: ({ key }) =>
      json(
        {},
        {
          value: [
            {
              subscriptionId: 's1',
              clientState: key,
              changeType: 'updated',
              resource: 'me/events/1',
              tenantId: 't1',
              resourceData: { id: '1', '@odata.etag': 'W/"1"' },
            },
            { id: 'n2', subscriptionId: 's1', clientState: key, lifecycleEvent: 'reauthorizationRequired' },
          ],
        },
      ),
    covers: ['key'],
    event: { count: 2, id: null, type: 'updated' },
    answer: { status: 202 },
  },
  {
    name: 'URL validation',
    secrets: ['client-state-1'],
    send: ({ url }) => ({
      url: `${url}?validationToken=Validation%3A+Testing+client+application`,
      headers: { 'Content-Type': 'text/plain' },
      body: '',
    }),
    covers: [],
    handshake: { body: 'Validation: Testing client application' },
  },
];
