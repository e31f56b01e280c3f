// What a reconnect or an import has replaced: the earlier tokens are revoked at the provider, where that hurts nothing.
import type { Connection, Credentials, EncryptedCredentials } from '../../../domain/connection.ts';
import { revocationEnds } from '../../../domain/target.ts';
import type { Clock, Logger, PendingRevocation, Store, Vault } from '../../../ports/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import { decryptAccessToken, decryptRefreshToken, newId } from '../../secrets/index.ts';

export interface ReplacedGrantParts {
  store: Pick<Store, 'addPendingRevocation'>;
  vault: Pick<Vault, 'decrypt'>;
  targets: Targets;
  clock: Clock;
  log: Logger;
}

/**
 * To be called after new credentials have replaced these of `before`; leaves them to the outbox, with the values that the connection had
 * then. Best effort: the new ones are stored. Never rejects. `isElsewhere`: the new ones are of another server, client or place, so that
 * nothing of the earlier ones was kept.
 */
export async function revokeReplaced(
  parts: ReplacedGrantParts,
  found: ResolvedIntegration,
  before: Connection,
  replaced: EncryptedCredentials,
  received: Pick<Credentials, 'accessToken' | 'refreshToken'>,
  isElsewhere: boolean,
): Promise<void> {
  try {
    const revocation = revocationOf(parts, found, before, replaced, received, isElsewhere);
    if (revocation) await parts.store.addPendingRevocation(revocation, found.integration);
  } catch (error) {
    parts.log.warn({ err: error, connection: before.id }, 'connections: the replaced tokens cannot be revoked');
  }
}

/**
 * Undefined: nothing is to be revoked. Something is only where it is known that a revocation ends the token alone: elsewhere it could end
 * the new grant as well. A token that is received again is still in use, and with a refresh token so is all that was issued with it.
 */
function revocationOf(
  { vault, targets, clock }: ReplacedGrantParts,
  found: ResolvedIntegration,
  before: Connection,
  replaced: EncryptedCredentials,
  received: Pick<Credentials, 'accessToken' | 'refreshToken'>,
  isElsewhere: boolean,
): PendingRevocation | undefined {
  const { id: connectionId, integration, owner, label, account, params, captured } = before;
  const target = targets.targetOf(found, before);
  if (revocationEnds(target) !== 'token') return undefined;
  const accessToken = decryptAccessToken(vault, before, replaced.accessToken);
  const refreshToken = decryptRefreshToken(vault, before, replaced.refreshToken);
  const isReissued = accessToken === received.accessToken;
  const isKept = received.refreshToken === null ? !isElsewhere || isReissued : received.refreshToken === refreshToken;
  if (refreshToken !== null && isKept) return undefined;
  if (refreshToken === null && (accessToken === null || isReissued)) return undefined;
  const now = clock.now();
  const place = { connectionId, integration, owner, label, account, params, captured };
  return {
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
}
