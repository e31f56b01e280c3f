// The ways in which third-party systems authenticate, as data: a catalogue entry's `auth`. The engine reads it and never
// asks which provider it is.
import { z } from 'zod';
import { Assertion, code, common, Dpop, Errors, type Send, tokenEndpoint } from './dialect.ts';
import { CredentialFields, Template, UrlTemplate } from './fields.ts';

const named = <T extends { authorization_url?: unknown; token_url?: unknown }>(m: T): boolean =>
  m.authorization_url !== undefined && m.token_url !== undefined;

/** OAuth 2.0 authorization code (RFC 6749 4.1), with endpoints by name. */
const OAuth2Code = z
  .strictObject({ mode: z.literal('oauth2_code'), ...code })
  .refine(named, 'authorization_url and token_url are required without an issuer');
/** OpenID Connect (authorization code flow): endpoints by discovery, and an ID token that is validated. */
const Oidc = z.strictObject({ mode: z.literal('oidc'), issuer: UrlTemplate, ...code });

const hasToken = (m: { token_url?: unknown; issuer?: unknown }): boolean =>
  m.token_url !== undefined || m.issuer !== undefined;

/** RFC 6749 4.4. The client is the integration's, or the connection's where `credentials` ask for `client_id`. */
const ClientCredentials = z
  .strictObject({
    mode: z.literal('oauth2_client_credentials'),
    ...common,
    ...tokenEndpoint,
    dpop: Dpop.default('false'),
    issuer: UrlTemplate.optional(),
    grant_type: z.string().default('client_credentials'),
    credentials: CredentialFields.default({}),
  })
  .refine(hasToken, 'token_url is required without an issuer');

/** RFC 7523: a signed assertion is exchanged for a token. */
const JwtBearer = z
  .strictObject({
    mode: z.literal('jwt_bearer'),
    ...common,
    ...tokenEndpoint,
    grant_type: z.string().default('urn:ietf:params:oauth:grant-type:jwt-bearer'),
    assertion: Assertion.prefault({}),
    /** As the `assertion` parameter (RFC 7523 2.1), or as the Bearer token of a request without a body. */
    presented: z.enum(['parameter', 'bearer']).default('parameter'),
    /** Without a `private_key` among them, the integration's signs. */
    credentials: CredentialFields.default({}),
  })
  .refine(hasToken, 'token_url is required');

/** A JWT that is signed here and is itself the token. */
const SelfSignedJwt = z.strictObject({
  mode: z.literal('self_signed_jwt'),
  ...common,
  assertion: Assertion.prefault({}),
  credentials: CredentialFields.default({}),
});

const ApiKey = z.strictObject({
  mode: z.literal('api_key'),
  ...common,
  credentials: CredentialFields.default({
    api_key: { title: 'API key', optional: false, format: 'text', members: [] },
  }),
  /** What is served. */
  value: Template.default('{api_key}'),
});

/** RFC 7617. What is served is the encoded pair, ready to follow `Basic`. */
const Basic = z.strictObject({
  mode: z.literal('basic'),
  ...common,
  credentials: CredentialFields.default({
    username: { title: 'user name', optional: false, format: 'text', members: [] },
    password: { title: 'password', optional: false, format: 'text', members: [] },
  }),
  username: Template.default('{username}'),
  password: Template.default('{password}'),
});

const AwsKeys = z.strictObject({
  mode: z.literal('aws_sigv4'),
  ...common,
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

/** STS AssumeRole, signed with the integration's own keys: client id and secret are its access key id and secret. */
const AwsAssumeRole = z.strictObject({
  mode: z.literal('aws_sts_assume_role'),
  ...common,
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

/** Connected by a browser; the others are imported. */
export type CodeMode = Extract<AuthMode, { mode: 'oauth2_code' | 'oidc' }>;
/** Made on demand of what the import brought, and made again before it expires. */
export type MintedMode = Extract<
  AuthMode,
  { mode: 'oauth2_client_credentials' | 'jwt_bearer' | 'self_signed_jwt' | 'aws_sts_assume_role' }
>;
/** Served as it was brought. */
export type StaticMode = Extract<AuthMode, { mode: 'api_key' | 'basic' | 'aws_sigv4' }>;
/** All that ask a token endpoint in the manner of OAuth. */
export type TokenMode = Extract<AuthMode, { token_request: unknown }>;

export const isCode = (auth: AuthMode): auth is CodeMode => auth.mode === 'oauth2_code' || auth.mode === 'oidc';
export const isStatic = (auth: AuthMode): auth is StaticMode =>
  auth.mode === 'api_key' || auth.mode === 'basic' || auth.mode === 'aws_sigv4';
export const isMinted = (auth: AuthMode): auth is MintedMode => !isCode(auth) && !isStatic(auth);

/** What an import brings for it, besides what OAuth modes take. */
export const credentialsOf = (auth: AuthMode): z.infer<typeof CredentialFields> =>
  'credentials' in auth ? auth.credentials : {};

/** The names of what is captured on a connection. */
export const capturesOf = (auth: AuthMode): string[] => [
  ...('token_answer' in auth ? Object.keys(auth.token_answer.capture) : []),
  ...(isCode(auth)
    ? [...Object.keys(auth.callback.capture), ...auth.lookups.flatMap(({ capture }) => Object.keys(capture))]
    : []),
];

/** `params.mode` names it so. */
export const nameOf = ({ mode, variant }: Pick<AuthMode, 'mode' | 'variant'>): string => variant ?? mode;

const DEFAULT_SEND: Partial<Record<AuthMode['mode'], Send>> = {
  basic: { in: 'header', name: 'Authorization', prefix: 'Basic ' },
  aws_sigv4: { in: 'signature', name: 'AWS4-HMAC-SHA256', prefix: '' },
  aws_sts_assume_role: { in: 'signature', name: 'AWS4-HMAC-SHA256', prefix: '' },
};
export const sendOf = (auth: AuthMode): Send =>
  auth.send ?? DEFAULT_SEND[auth.mode] ?? { in: 'header', name: 'Authorization', prefix: 'Bearer ' };

/** The word before the token in the Authorization header, or where else it goes: `query:key`, `header:X-API-Key`. */
export function tokenTypeOf(auth: AuthMode): string {
  const { in: place, name, prefix } = sendOf(auth);
  if (place === 'signature') return name;
  const scheme = prefix.trim();
  return place === 'header' && name.toLowerCase() === 'authorization' && scheme !== '' ? scheme : `${place}:${name}`;
}
