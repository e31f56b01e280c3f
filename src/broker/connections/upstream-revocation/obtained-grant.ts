// Revokes upstream what was obtained and not kept: the tokens of an account that the connection is not for, and those of a
// connect session that has ended.

import { toldAccount } from '../../../domain/account.ts';
import { isCode } from '../../../domain/auth-modes.ts';
import type { Connection } from '../../../domain/connection.ts';
import { revocationEnds, type Target } from '../../../domain/target.ts';
import { type Clock, type PendingRevocation, type Store, type Vault, VaultError } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { decryptAccessToken, decryptRefreshToken, encryptCredentials, newId } from '../../secrets/index.ts';
import type { ReceivedCredentials } from '../received-grant/new-connection.ts';

export interface RevokeObtainedParts {
  store: Pick<Store, 'addPendingRevocation' | 'connectionsOfAccount' | 'storedCredentials'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt' | 'digests'>;
  clock: Clock;
}

type Place = Pick<PendingRevocation, 'integration' | 'owner' | 'label' | 'params'>;

/** Leaves the tokens to the outbox, as far as `revocationOf` says. `found`: where they were obtained. */
export async function revokeObtained(
  parts: RevokeObtainedParts,
  found: Pick<ResolvedIntegration, 'integration'>,
  target: Target,
  place: Place,
  received: ReceivedCredentials,
): Promise<void> {
  const revocation = await revocationOf(parts, target, place, received);
  if (revocation) await parts.store.addPendingRevocation(revocation, found.integration);
}

/**
 * What is to be revoked of these tokens; null: nothing, where it could end what is wanted. Where it is known that a
 * revocation ends the token alone, only tokens that a live connection of the account has too are left out. Where it ends the
 * grant, the outbox looks for other connections of the account just before it asks, so the account has to be known.
 * Elsewhere, nothing is revoked of an account that a live connection has.
 */
export async function revocationOf(
  { store, vault, clock }: RevokeObtainedParts,
  target: Target,
  { integration, owner, label, params }: Place,
  { credentials, captured, account: told }: ReceivedCredentials,
): Promise<PendingRevocation | null> {
  const isRevocable = target.auth.mode === 'oidc' || target.endpoints.revocation !== undefined;
  if (!isCode(target.auth) || !isRevocable) return null;
  const account = toldAccount({ account: told });
  const ends = revocationEnds(target);
  if (account === null && ends !== 'token') return null;
  const others = account === null ? [] : await store.connectionsOfAccount(account, MOST);
  if (ends === undefined && others.length > 0) return null;
  const used = ends === 'token' ? await tokensOf({ store, vault }, others) : new Set();
  const unused = (token: string | null) => (token !== null && used.has(token) ? null : token);
  const refreshToken = unused(credentials.refreshToken);
  // With a refresh token that is in use, so is all that was issued with it.
  const accessToken = refreshToken === credentials.refreshToken ? unused(credentials.accessToken) : null;
  if (accessToken === null && refreshToken === null) return null;
  const now = clock.now();
  // Of no connection: what becomes of these tokens says nothing about the one that was to be renewed.
  const connectionId = newId('con', now);
  const bound = { id: connectionId, integration, owner, label };
  const encrypted = encryptCredentials(vault, bound, { ...credentials, accessToken, refreshToken });
  const tokens = {
    accessToken: encrypted.accessToken,
    refreshToken: encrypted.refreshToken,
    credentials: target.source ? encrypted.credentials : null,
  };
  const id = newId('rev', now);
  const unclaimed = { attempts: 0, nextAt: now, claimedUntil: null, createdAt: now };
  return { id, connectionId, integration, owner, label, account, params, captured, ...tokens, ...unclaimed };
}

const MOST = 20;

/** What can be decrypted of the tokens of these connections. */
async function tokensOf(
  { store, vault }: Pick<RevokeObtainedParts, 'store' | 'vault'>,
  connections: Connection[],
): Promise<Set<string>> {
  const tokens = new Set<string>();
  for (const one of connections) {
    const stored = await store.storedCredentials(one.id);
    if (!stored) continue;
    try {
      for (const token of [
        decryptAccessToken(vault, one, stored.accessToken),
        decryptRefreshToken(vault, one, stored.refreshToken),
      ])
        if (token !== null) tokens.add(token);
    } catch (error) {
      // Of secrets that do not open it is not known what they are: they are not in use either.
      if (!(error instanceof VaultError)) throw error;
    }
  }
  return tokens;
}
