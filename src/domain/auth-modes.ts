// Auth modes: how third-party systems authenticate, as data (`auth` of a catalogue entry). Code reads this and never
// branches on a provider.
import type { AuthMode } from './auth-modes-schema.ts';
import type { Send } from './dialect.ts';
import { type CredentialField, placeholders } from './fields.ts';
import type { ProtectedResource } from './resource-dialect.ts';

export type { AuthMode } from './auth-modes-schema.ts';

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
export const credentialFieldsOf = (auth: AuthMode): Record<string, CredentialField> =>
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
