// Auth modes: how third-party systems authenticate, as data (`auth` of a catalogue entry). Code reads this and never
// branches on a provider.
import { z } from 'zod';
import { Assertion, codeFields, commonFields, Dpop, Errors, type Send, tokenEndpointFields } from './dialect.ts';
import { CredentialFields, placeholders, Template, UrlTemplate } from './fields.ts';
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

/** Connected in a browser; the other modes are imported. */
export type CodeMode = Extract<AuthMode, { mode: 'oauth2_code' | 'oidc' }>;
/** Minted on demand from imported credentials, and again before it expires. */
export type MintedMode = Extract<
  AuthMode,
  { mode: 'oauth2_client_credentials' | 'jwt_bearer' | 'self_signed_jwt' | 'aws_sts_assume_role' }
>;
/** Served as imported. */
export type StaticMode = Extract<AuthMode, { mode: 'api_key' | 'basic' | 'aws_sigv4' }>;
/** The modes with an OAuth token endpoint. */
export type TokenMode = Extract<AuthMode, { token_request: unknown }>;

export const isCode = (auth: AuthMode): auth is CodeMode => auth.mode === 'oauth2_code' || auth.mode === 'oidc';
/** Undefined: the endpoints are those of the catalogue, or of an issuer that it names. */
export const protectedResourceOf = (auth: AuthMode): ProtectedResource | undefined =>
  auth.mode === 'oauth2_code' ? auth.protected_resource : undefined;
export const isStatic = (auth: AuthMode): auth is StaticMode =>
  auth.mode === 'api_key' || auth.mode === 'basic' || auth.mode === 'aws_sigv4';
export const isMinted = (auth: AuthMode): auth is MintedMode => !isCode(auth) && !isStatic(auth);

/** The credentials that an import of this mode takes. */
export const credentialFieldsOf = (auth: AuthMode): z.infer<typeof CredentialFields> =>
  'credentials' in auth ? auth.credentials : {};

/** Those that are no secrets, and are shown while they are entered: a user name, an id of a key or a client. */
export function readableCredentials(auth: AuthMode): string[] {
  if (auth.mode === 'aws_sigv4') return ['access_key_id'];
  if (auth.mode !== 'basic') return Object.keys(credentialFieldsOf(auth)).filter((name) => name === 'client_id');
  // A key that is sent as the user name has no password beside it.
  const secret = placeholders(auth.password);
  return secret.length === 0 ? [] : placeholders(auth.username).filter((name) => !secret.includes(name));
}

/** The names of the values that are captured on a connection. */
export const capturesOf = (auth: AuthMode): string[] => [
  ...('token_answer' in auth ? Object.keys(auth.token_answer.capture) : []),
  ...(isCode(auth)
    ? [...Object.keys(auth.callback.capture), ...auth.lookups.flatMap(({ capture }) => Object.keys(capture))]
    : []),
];

/** The name of a mode in `params.mode`. */
export const modeName = ({ mode, variant }: Pick<AuthMode, 'mode' | 'variant'>): string => variant ?? mode;

const DEFAULT_SEND: Partial<Record<AuthMode['mode'], Send>> = {
  basic: { in: 'header', name: 'Authorization', prefix: 'Basic ' },
  aws_sigv4: { in: 'signature', name: 'AWS4-HMAC-SHA256', prefix: '' },
  aws_sts_assume_role: { in: 'signature', name: 'AWS4-HMAC-SHA256', prefix: '' },
};
export const sendOf = (auth: AuthMode): Send =>
  auth.send ?? DEFAULT_SEND[auth.mode] ?? { in: 'header', name: 'Authorization', prefix: 'Bearer ' };

/** `token_type`: the scheme in the Authorization header, or where else the token goes (`query:key`, `header:X-API-Key`). */
export function tokenTypeOf(auth: AuthMode): string {
  const { in: place, name, prefix } = sendOf(auth);
  if (place === 'signature') return name;
  const scheme = prefix.trim();
  return place === 'header' && name.toLowerCase() === 'authorization' && scheme !== '' ? scheme : `${place}:${name}`;
}
