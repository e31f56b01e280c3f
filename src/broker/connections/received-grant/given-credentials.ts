// Credentials that someone has given, a caller by an import or an owner in a form, in the form in which grants are stored.
import { type AuthMode, isStatic } from '../../../domain/auth-modes.ts';
import type { Values } from '../../../domain/fields.ts';
import { serializeCredentials, staticToken } from '../../../domain/imported-credentials.ts';
import type { ReceivedCredentials } from './new-connection.ts';

const NONE = { accessToken: null, refreshToken: null, idToken: null, credentials: null };

/**
 * For the modes that begin without a browser: a token that is served as it is, or what tokens are requested with, at the first
 * read. `read`: what `readCredentials` returns; `values`: of the params.
 */
export function givenCredentials(
  auth: AuthMode,
  read: Values,
  values: Values,
  scopes: string[] | undefined,
  now: number,
): Pick<ReceivedCredentials, 'credentials' | 'expiresAt'> {
  if (isStatic(auth))
    return { credentials: { ...NONE, accessToken: staticToken(auth, read, values) }, expiresAt: null };
  return { credentials: { ...NONE, credentials: serializeCredentials(read, scopes) }, expiresAt: now };
}
