// A renewal: whether it is of the account that is connected, and what it keeps of the connection.
import { isOtherAccount, storedAccount, tellsAccount, toldAccount, toTextValues } from '../../../domain/account.ts';
import { type AuthMode, isCode } from '../../../domain/auth-modes.ts';
import type { Connection, EncryptedCredentials, WrittenCredentials } from '../../../domain/connection.ts';
import { isSamePlace } from '../../../domain/destinations.ts';
import type { Values } from '../../../domain/fields.ts';
import type { RenewedCredentials } from '../../../ports/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
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

/**
 * What a renewal keeps of what was captured before. What a callback named was confirmed for that account: where it is not certain
 * that the new grant is of the same one, it is not kept.
 */
export function keptCaptured(
  existing: Connection,
  auth: AuthMode,
  values: Values,
  received: Pick<ReceivedCredentials, 'account'>,
): Record<string, unknown> {
  const [stored, told] = [storedAccount(auth, values, existing), toldAccount(received)];
  if (!isCode(auth) || auth.callback.confirm === undefined) return existing.captured;
  if (stored && told && !isOtherAccount(stored, told)) return existing.captured;
  const { capture } = auth.callback;
  return Object.fromEntries(Object.entries(existing.captured).filter(([name]) => !Object.hasOwn(capture, name)));
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

/**
 * Whether the connection would send what it has to another place: its parameters, and what was captured, say where. What was issued at
 * one server, or for one, is kept for no other.
 */
export function movesElsewhere(
  targets: Pick<Targets, 'targetOf'>,
  found: ResolvedIntegration,
  before: Connection | undefined,
  after: Pick<Connection, 'params' | 'captured'>,
): boolean {
  const valuesOf = (one: typeof after) => ({ ...toTextValues(one.captured), ...targets.targetOf(found, one).values });
  return before !== undefined && !isSamePlace(found.provider, found.auth, valuesOf(before), valuesOf(after));
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
