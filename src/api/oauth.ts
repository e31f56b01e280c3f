// The OAuth interfaces: token exchange (RFC 8693), introspection (RFC 7662), metadata (RFC 8414). Forms in, JSON out.
import { z } from '@hono/zod-openapi';
import { Purpose } from './agent-sessions.ts';
import { Label } from './common.ts';
import { EXAMPLE } from './examples.ts';

const JWT = 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1c2VyXzQyIn0.c2ln';

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
export const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** draft-ietf-oauth-spiffe-client-auth: the assertion is a JWT-SVID. */
export const JWT_SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
/** Accepted types of a subject token, all of them JWTs (RFC 8693 3). */
const SUBJECT_TYPES = ['access_token', 'id_token', 'jwt'].map((name) => `urn:ietf:params:oauth:token-type:${name}`);

const text = (max: number) => z.string().min(1).max(max);

/** Client authentication in the form (RFC 6749 2.3.1, RFC 7523 2.2). The Authorization header is preferred. */
const ClientAuthentication = {
  client_id: text(2_048).optional(),
  client_secret: text(512).optional().openapi({ description: 'A key of the caller' }),
  client_assertion_type: z.enum([JWT_BEARER, JWT_SPIFFE]).optional(),
  client_assertion: text(16_384).optional().openapi({ description: 'The token of a workload identity of the caller' }),
};

export const ExchangeForm = z
  .object({
    grant_type: z.literal(TOKEN_EXCHANGE),
    subject_token: text(16_384).openapi({
      description:
        "A user's JWT from an issuer that is listed with `exchange: true`, with this broker as `aud`. Its `sub` is the owner, unless `owner` of that issuer says otherwise.",
    }),
    subject_token_type: z.enum(SUBJECT_TYPES),
    actor_token: text(16_384).optional().openapi({
      description:
        'The JWT of the party that acts for the user, from a listed issuer, with this broker as `aud`. If the subject token has `may_act`, that names this party; without an actor token, the caller itself',
    }),
    actor_token_type: z.enum(SUBJECT_TYPES).optional().openapi({ description: 'Required with `actor_token`' }),
    audience: text(255).optional().openapi({ description: 'The id of the integration' }),
    resource: text(2_048).optional().openapi({
      description:
        'The integration as a URI: `<public URL>/v1/integrations/<id>`. The public URL itself: an agent session is issued.',
    }),
    scope: z.string().max(16_384).optional().openapi({
      description: 'The scopes that the token must have; of a session, the ids of its integrations',
    }),
    requested_token_type: z.literal(ACCESS_TOKEN).optional(),
    purpose: Purpose.optional().openapi({ description: 'Of a session: what it is for. Default: `token exchange`' }),
    actions: text(255).optional().openapi({
      description: 'Of a session: its actions, with spaces between. Default: `proxy`',
    }),
    ttl: z
      .string()
      .regex(/^[1-9]\d{0,5}$/, 'whole seconds')
      .optional()
      .openapi({ description: 'Of a session: how long it lasts, in seconds' }),
    label: Label.optional(),
    min_ttl: z
      .string()
      .regex(/^\d{1,6}$/, 'whole seconds')
      .optional()
      .openapi({ description: 'Minimum remaining lifetime of the token, in seconds. Default: 60.' }),
    ...ClientAuthentication,
  })
  .openapi('TokenExchangeRequest', {
    example: {
      grant_type: TOKEN_EXCHANGE,
      subject_token: JWT,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      audience: EXAMPLE.integration,
    },
  });

export const ExchangeAnswer = z
  .object({
    access_token: z.string(),
    issued_token_type: z.literal(ACCESS_TOKEN),
    token_type: z.string(),
    expires_in: z
      .int()
      .optional()
      .openapi({ description: 'Remaining lifetime in seconds. Omitted if the token does not expire.' }),
    scope: z.string().openapi({ description: 'All scopes of the token; of a session, the ids of its integrations' }),
    connection_id: z.string().optional().openapi({ description: 'Of a token of a connection' }),
    session_id: z.string().optional().openapi({ description: 'Of a session' }),
  })
  .openapi('TokenExchangeResponse', {
    example: {
      access_token: 'xoxb-…',
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: 3_540,
      scope: 'chat:write',
      connection_id: EXAMPLE.connection,
    },
  });

export const IntrospectionForm = z
  .object({
    token: text(65_536),
    token_type_hint: text(64).optional(),
    audience: text(2_048).optional(),
    ...ClientAuthentication,
  })
  .openapi('IntrospectionRequest', { example: { token: JWT } });

export const IntrospectionAnswer = z.looseObject({ active: z.boolean() }).openapi('IntrospectionResponse', {
  description: 'The claims of an active token; for any other, only `active: false` (RFC 7662 2.2).',
  example: {
    active: true,
    iss: 'https://id.acme.example',
    sub: 'user_42',
    aud: 'https://valetkey.acme.example',
    exp: 1_772_448_907,
  },
});

export const IntrospectionJwt = z
  .string()
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  .openapi('IntrospectionJwt', {
    description:
      'A JWT of the type `token-introspection+jwt` (RFC 9701 5) with `iss`, `aud` (the id of the caller), `iat`, and `token_introspection`: the members of an `IntrospectionResponse`. The keys are in `GET /oauth2/jwks`.',
    example: 'eyJ0eXAiOiJ0b2tlbi1pbnRyb3NwZWN0aW9uK2p3dCIsImFsZyI6IkVTMjU2In0.eyJhdWQiOiJjbHJfMDFrIn0.c2ln',
  });

export const OAuthError = z
  .looseObject({
    error: z.string(),
    error_description: z.string(),
    request_id: z.string(),
    connect_url: z
      .string()
      .nullable()
      .optional()
      .openapi({ description: 'With `interaction_required`: send the user to this URL' }),
    interaction_uri: z
      .string()
      .nullable()
      .optional()
      .openapi({ description: 'The same as `connect_url`, under the name that some clients expect' }),
    connection_id: z.string().optional().openapi({ description: 'The connection to renew' }),
    reason: z.string().optional(),
  })
  .openapi('OAuthError', {
    description: 'An OAuth error (RFC 6749 5.2), with additional members that say what to do.',
    example: { error: 'invalid_request', error_description: 'An explanation for people', request_id: EXAMPLE.request },
  });

export const ServerMetadata = z
  .object({
    issuer: z.string(),
    jwks_uri: z.string().openapi({ description: 'The keys of the JWTs that the broker signs' }),
    token_endpoint: z.string().optional().openapi({ description: 'Where the port that was asked serves it' }),
    introspection_endpoint: z.string().optional(),
    response_types_supported: z.array(z.string()),
    grant_types_supported: z.array(z.string()),
    token_endpoint_auth_methods_supported: z.array(z.string()).optional(),
    introspection_endpoint_auth_methods_supported: z.array(z.string()).optional(),
    introspection_signing_alg_values_supported: z
      .array(z.string())
      .optional()
      .openapi({ description: 'Of answers as JWTs (RFC 9701 7)' }),
    service_documentation: z.string().optional(),
  })
  .openapi('AuthorizationServerMetadata', {
    description: 'Authorization server metadata (RFC 8414 2).',
    example: {
      issuer: 'https://valetkey.acme.example',
      jwks_uri: 'https://valetkey.acme.example/oauth2/jwks',
      token_endpoint: 'https://valetkey.acme.example/oauth2/token',
      introspection_endpoint: 'https://valetkey.acme.example/oauth2/introspect',
      response_types_supported: [],
      grant_types_supported: [TOKEN_EXCHANGE],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      introspection_signing_alg_values_supported: ['ES256'],
      service_documentation: 'https://valetkey.acme.example/docs',
    },
  });

/** RFC 7591 2, draft-ietf-oauth-client-id-metadata-document. */
export const ClientDocument = z
  .object({
    client_id: z.string().openapi({ description: 'The URL of this document' }),
    client_name: z.string(),
    client_uri: z.string(),
    redirect_uris: z.array(z.string()),
    grant_types: z.array(z.string()),
    response_types: z.array(z.string()),
    application_type: z.literal('web'),
    token_endpoint_auth_method: z.enum(['none', 'private_key_jwt']),
    token_endpoint_auth_methods_supported: z.array(z.string()).openapi({
      description: 'For servers that read more than one: `private_key_jwt` where the server does not take `none`',
    }),
    jwks_uri: z.string().openapi({ description: 'The keys of `private_key_jwt`' }),
  })
  .openapi('ClientIdMetadataDocument', {
    example: {
      client_id: 'https://broker.example.com/oauth2/clients/docs.json',
      client_name: 'Acme',
      client_uri: 'https://broker.example.com',
      redirect_uris: ['https://broker.example.com/oauth2/callback/docs'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'web',
      token_endpoint_auth_method: 'none',
      token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
      jwks_uri: 'https://broker.example.com/oauth2/jwks',
    },
  });
