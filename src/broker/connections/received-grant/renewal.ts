// A renewal: whether it is of the account that is connected, and what it keeps of the connection.
import { isOtherAccount, storedAccount, tellsAccount } from '../../../domain/account.ts';
import type { AuthMode } from '../../../domain/auth-modes.ts';
import type { Connection, EncryptedCredentials, WrittenCredentials } from '../../../domain/connection.ts';
import type { Values } from '../../../domain/fields.ts';
import type { RenewedCredentials } from '../../../ports/index.ts';
import { isDifferentIdentity, type ReceivedCredentials } from './new-connection.ts';

/**
 * `other`: of another account. `unavailable` and `untold`: the connection has an account, and the provider could not say
 * now, or did not, whose the new grant is.
 */
export type RenewalVerdict = 'same' | 'other' | 'unavailable' | 'untold';

export function compareAccounts(
  existing: Connection,
  auth: AuthMode,
  values: Values,
  { account, identity }: Pick<ReceivedCredentials, 'account' | 'identity'>,
): RenewalVerdict {
  if (isDifferentIdentity(existing.identity, identity)) return 'other';
  const stored = storedAccount(auth, values, existing);
  if (stored === null) return 'same';
  if (account === 'unavailable') return 'unavailable';
  // A caller stated the account, and the provider never tells it.
  if (account === null) return tellsAccount(auth, values) || existing.identity !== null ? 'untold' : 'same';
  return isOtherAccount(stored, account) ? 'other' : 'same';
}

/** What is stored of a renewal: a secret that it did not bring and does not replace stays. `keeps`: the refresh token does. */
export function renewedCredentials(
  received: ReceivedCredentials,
  encrypted: WrittenCredentials,
  keeps: boolean,
): RenewedCredentials {
  const { idToken, credentials } = received.credentials;
  return {
    ...encrypted,
    ...(keeps && { refreshToken: undefined, tokenDigests: undefined }),
    // The key that the kept refresh token is bound to (RFC 9449 5).
    ...(keeps && credentials === null && { credentials: undefined }),
    ...(keeps && idToken === null && { idToken: undefined }),
  };
}

/** RFC 6749 leaves it open whether a second consent brings a second refresh token: the first one stays valid then. */
export const keepsRefreshToken = (
  { credentials, replacesScopes }: Pick<ReceivedCredentials, 'credentials' | 'replacesScopes'>,
  stored: EncryptedCredentials | undefined,
): boolean =>
  credentials.accessToken !== null &&
  credentials.refreshToken === null &&
  !replacesScopes &&
  !!stored &&
  stored.refreshToken !== null;
