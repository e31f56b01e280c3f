// The schemas of auth modes (`auth` of a catalogue entry). What is done with them is in `auth-modes.ts`.
import { z } from 'zod';
import { Assertion, codeFields, commonFields, Dpop, Errors, tokenEndpointFields } from './dialect.ts';
import { CredentialFields, Template, UrlTemplate } from './fields-schema.ts';
import { ProtectedResource } from './resource-dialect.ts';

const hasEndpoints = <T extends { authorization_url?: unknown; token_url?: unknown }>(m: T): boolean =>
  m.authorization_url !== undefined && m.token_url !== undefined;

/**
 * OAuth 2.0 authorization code flow (RFC 6749 4.1): endpoints here, by the issuer's metadata (RFC 8414), or by those of a
 * protected resource (RFC 9728).
 */
const OAuth2Code = z
  .strictObject({
    mode: z.literal('oauth2_code'),
    issuer: UrlTemplate.optional(),
    protected_resource: ProtectedResource.optional(),
    ...codeFields,
  })
  .refine(
    (m) => m.issuer !== undefined || m.protected_resource !== undefined || hasEndpoints(m),
    'authorization_url and token_url are required without an issuer or a protected_resource',
  )
  .refine(
    (m) => m.protected_resource === undefined || (m.issuer ?? m.authorization_url ?? m.token_url) === undefined,
    'a protected_resource names its authorization server: leave out issuer, authorization_url and token_url',
  );
/** OpenID Connect authorization code flow: endpoints by discovery, and a validated ID token. */
const Oidc = z.strictObject({ mode: z.literal('oidc'), issuer: UrlTemplate, ...codeFields });

const hasTokenEndpoint = (m: { token_url?: unknown; issuer?: unknown }): boolean =>
  m.token_url !== undefined || m.issuer !== undefined;

/** RFC 6749 4.4. The client is the integration's, or the connection's when `credentials` has `client_id`. */
const ClientCredentials = z
  .strictObject({
    mode: z.literal('oauth2_client_credentials'),
    ...commonFields,
    ...tokenEndpointFields,
    dpop: Dpop.default('false'),
    issuer: UrlTemplate.optional(),
    grant_type: z.string().default('client_credentials'),
    credentials: CredentialFields.default({}),
  })
  .refine(hasTokenEndpoint, 'token_url is required without an issuer');

/** RFC 7523: exchanges a signed assertion for an access token. */
const JwtBearer = z
  .strictObject({
    mode: z.literal('jwt_bearer'),
    ...commonFields,
    ...tokenEndpointFields,
    grant_type: z.string().default('urn:ietf:params:oauth:grant-type:jwt-bearer'),
    assertion: Assertion.prefault({}),
    /** Sends the assertion as the `assertion` parameter (RFC 7523 2.1), or as the Bearer token of a request without a body. */
    presented: z.enum(['parameter', 'bearer']).default('parameter'),
    /** Without a `private_key` here, the integration's key signs. */
    credentials: CredentialFields.default({}),
  })
  .refine(hasTokenEndpoint, 'token_url is required');

/** The access token is a JWT that the broker signs. */
const SelfSignedJwt = z.strictObject({
  mode: z.literal('self_signed_jwt'),
  ...commonFields,
  assertion: Assertion.prefault({}),
  credentials: CredentialFields.default({}),
});

const ApiKey = z.strictObject({
  mode: z.literal('api_key'),
  ...commonFields,
  credentials: CredentialFields.default({
    api_key: { title: 'API key', optional: false, format: 'text', members: [] },
  }),
  /** The access token. */
  value: Template.default('{api_key}'),
});

/** RFC 7617. The access token is the encoded pair that follows `Basic`. */
const Basic = z.strictObject({
  mode: z.literal('basic'),
  ...commonFields,
  credentials: CredentialFields.default({
    username: { title: 'user name', optional: false, format: 'text', members: [] },
    password: { title: 'password', optional: false, format: 'text', members: [] },
  }),
  username: Template.default('{username}'),
  password: Template.default('{password}'),
});

const AwsKeys = z.strictObject({
  mode: z.literal('aws_sigv4'),
  ...commonFields,
  credentials: CredentialFields.default({
    access_key_id: {
      title: 'access key id',
      pattern: '[A-Z0-9]{16,128}',
      optional: false,
      format: 'text',
      members: [],
    },
    secret_access_key: { title: 'secret access key', optional: false, format: 'text', members: [] },
    session_token: { title: 'session token', optional: true, format: 'text', members: [] },
  }),
});

/** STS AssumeRole, signed with the integration's keys: client id and secret are its access key id and secret access key. */
const AwsAssumeRole = z.strictObject({
  mode: z.literal('aws_sts_assume_role'),
  ...commonFields,
  token_url: UrlTemplate,
  region: Template,
  role_arn: Template.default('{role_arn}'),
  external_id: Template.default('{external_id}'),
  session_name: Template.default('valetkey'),
  duration: z.int().min(900).max(43_200).default(3_600),
  errors: Errors.prefault({}),
});

export const AuthMode = z.discriminatedUnion('mode', [
  OAuth2Code,
  Oidc,
  ClientCredentials,
  JwtBearer,
  SelfSignedJwt,
  ApiKey,
  Basic,
  AwsKeys,
  AwsAssumeRole,
]);
export type AuthMode = z.infer<typeof AuthMode>;
