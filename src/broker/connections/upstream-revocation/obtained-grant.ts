// Revokes upstream what was obtained and not kept: the tokens of an account that the connection is not for.
import { isCode } from '../../../domain/auth-modes.ts';
import type { Target } from '../../../domain/target.ts';
import type { Clock, PendingRevocation, Store, Vault } from '../../../ports/index.ts';
import { encryptCredentials, newId } from '../../secrets/index.ts';
import type { ReceivedCredentials } from '../received-grant/new-connection.ts';

export interface RevokeObtainedParts {
  store: Pick<Store, 'addPendingRevocation' | 'connectionsOfAccount'>;
  vault: Pick<Vault, 'encrypt'>;
  clock: Clock;
}

/**
 * Leaves the tokens to the outbox. Nothing is revoked where it could end what is wanted: when it is not known whose the
 * tokens are, or when a live connection has that account.
 */
export async function revokeObtained(
  { store, vault, clock }: RevokeObtainedParts,
  target: Target,
  { integration, owner, label, params }: Pick<PendingRevocation, 'integration' | 'owner' | 'label' | 'params'>,
  { credentials, captured, account }: ReceivedCredentials,
): Promise<void> {
  const isRevocable = target.auth.mode === 'oidc' || target.endpoints.revocation !== undefined;
  if (!isCode(target.auth) || !isRevocable || account === null || account === 'unavailable') return;
  if ((await store.connectionsOfAccount(account, 1)).length > 0) return;
  const now = clock.now();
  // Of no connection: what becomes of these tokens says nothing about the one that was to be renewed.
  const connectionId = newId('con', now);
  const { accessToken, refreshToken } = encryptCredentials(
    vault,
    { id: connectionId, integration, owner, label },
    credentials,
  );
  const id = newId('rev', now);
  const tokens = { accessToken, refreshToken, attempts: 0, nextAt: now, claimedUntil: null, createdAt: now };
  await store.addPendingRevocation({
    id,
    connectionId,
    integration,
    owner,
    label,
    account,
    params,
    captured,
    ...tokens,
  });
}
