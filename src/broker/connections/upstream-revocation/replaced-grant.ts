// What a reconnect has replaced: the tokens of the earlier authorization are revoked at the provider, where that hurts nothing.
import type { Connection, Credentials, EncryptedCredentials } from '../../../domain/connection.ts';
import { revocationEnds, type Target } from '../../../domain/target.ts';
import type { Clock, Store, Vault } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { decryptAccessToken, decryptRefreshToken, newId } from '../../secrets/index.ts';

export interface ReplacedGrantParts {
  store: Pick<Store, 'addPendingRevocation'>;
  vault: Pick<Vault, 'decrypt'>;
  clock: Clock;
}

/**
 * To be called after a new authorization has replaced these credentials; leaves them to the outbox. Only where it is known
 * that a revocation ends the token alone: elsewhere it could end the new grant as well. A token that the provider has issued
 * again is still in use, and with a refresh token so is all that was issued with it. `isElsewhere`: the new grant is of another
 * server or client, so that nothing of the earlier one is in use.
 */
export async function revokeReplaced(
  { store, vault, clock }: ReplacedGrantParts,
  found: Pick<ResolvedIntegration, 'integration'>,
  target: Target,
  connection: Connection,
  replaced: EncryptedCredentials,
  received: Pick<Credentials, 'accessToken' | 'refreshToken'>,
  isElsewhere = false,
): Promise<void> {
  const { id: connectionId, integration, owner, label, account, params, captured } = connection;
  if (revocationEnds(target) !== 'token') return;
  const accessToken = decryptAccessToken(vault, connection, replaced.accessToken);
  const refreshToken = decryptRefreshToken(vault, connection, replaced.refreshToken);
  const isKept = (received.refreshToken ?? refreshToken) === refreshToken && !isElsewhere;
  if (refreshToken !== null && isKept) return;
  const isReissued = accessToken === received.accessToken;
  if (refreshToken === null && (accessToken === null || isReissued)) return;
  const now = clock.now();
  const place = { connectionId, integration, owner, label, account, params, captured };
  const revocation = {
    ...place,
    id: newId('rev', now),
    accessToken: isReissued ? null : replaced.accessToken,
    refreshToken: replaced.refreshToken,
    // Of the server that granted it, which may be another one than that of its successor.
    credentials: target.resource === null ? null : replaced.credentials,
    attempts: 0,
    nextAt: now,
    claimedUntil: null,
    createdAt: now,
  };
  await store.addPendingRevocation(revocation, found.integration);
}
