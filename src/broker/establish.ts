// From what a provider answered, or an import brought, to a connection and its grant.
import { type Connection, type Grant, type Identity, refreshDueAt } from '../domain/connection.ts';

export interface Brought {
  grant: Grant;
  tokenType: string;
  scopes: string[];
  expiresAt: number | null;
  captured: Record<string, unknown>;
  identity: Identity | null;
  /** Milliseconds after which the provider forgets a grant that is not refreshed; undefined: it does not. */
  idleMs: number | undefined;
}

type Place = Pick<Connection, 'integration' | 'owner' | 'label' | 'params' | 'metadata'>;

/** A connection as it is when a grant has just arrived; under `renewed`'s id, where it renews one. */
export function establish(id: string, place: Place, brought: Brought, now: number, renewed?: Connection): Connection {
  return {
    id,
    ...place,
    status: 'active',
    reason: null,
    scopes: brought.scopes,
    captured: brought.captured,
    identity: brought.identity ?? renewed?.identity ?? null,
    tokenType: brought.tokenType,
    issuedAt: now,
    expiresAt: brought.expiresAt,
    nextRefreshAt:
      brought.grant.refreshToken === null ? null : refreshDueAt(id, now, brought.expiresAt, brought.idleMs),
    lastRefreshedAt: null,
    lastRefreshError: null,
    failures: 0,
    generation: (renewed?.generation ?? 0) + 1,
    upstreamRevocation: null,
    createdAt: renewed?.createdAt ?? now,
    updatedAt: now,
  };
}

/** OpenID Connect Core 5.7. Unknown on one side: not known to differ. */
export const isSomebodyElse = (a: Identity | null | undefined, b: Identity | null | undefined): boolean =>
  !!a && !!b && (a.issuer !== b.issuer || a.subject !== b.subject);
