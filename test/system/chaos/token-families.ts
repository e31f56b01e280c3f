// The chaos provider's state: token families with single-use refresh tokens and their access tokens.
import { randomBytes } from 'node:crypto';

/**
 * `first`: rotated · `repeat`: within the window, the same successor again · `reuse`: revoked the family · `dead`: the
 * family was revoked already · `unknown`: no such token.
 */
export type SpendOutcome = 'first' | 'repeat' | 'reuse' | 'dead' | 'unknown';

export interface TokenState {
  alive: boolean;
  why: 'alive' | 'expired' | 'family_dead' | 'unknown';
  /** When it became invalid, in milliseconds since the epoch. */
  since: number | null;
}

interface RefreshToken {
  family: Family;
  spentAt: number | null;
  successor: string | null;
}

interface Family {
  name: string;
  diedAt: number | null;
}

const token = (kind: string) => `${kind}_${randomBytes(24).toString('base64url')}`;

export function createTokenFamilies() {
  const refreshTokens = new Map<string, RefreshToken>();
  const accessTokens = new Map<string, { family: Family; expiresAt: number }>();

  const addRefreshToken = (family: Family): string => {
    const made = token('rt');
    refreshTokens.set(made, { family, spentAt: null, successor: null });
    return made;
  };

  return {
    /** Creates a family; returns its first refresh token. */
    seed: (name: string): string => addRefreshToken({ name, diedAt: null }),

    /** Spends a refresh token; `successor` null: refused (`invalid_grant`). Reuse revokes the family. */
    spend(given: string, windowMs: number): { spent: SpendOutcome; family: string | null; successor: string | null } {
      const known = refreshTokens.get(given);
      if (!known) return { spent: 'unknown', family: null, successor: null };
      const { family } = known;
      const now = Date.now();
      if (family.diedAt !== null) return { spent: 'dead', family: family.name, successor: null };
      if (known.spentAt === null) {
        known.spentAt = now;
        known.successor = addRefreshToken(family);
        return { spent: 'first', family: family.name, successor: known.successor };
      }
      const untouched = refreshTokens.get(known.successor!)?.spentAt === null;
      if (untouched && now - known.spentAt < windowMs)
        return { spent: 'repeat', family: family.name, successor: known.successor };
      family.diedAt = now;
      return { spent: 'reuse', family: family.name, successor: null };
    },

    /** Issues an access token whose lifetime begins now. */
    issue(successor: string, lifeMs: number): string {
      const made = token('at');
      accessTokens.set(made, { family: refreshTokens.get(successor)!.family, expiresAt: Date.now() + lifeMs });
      return made;
    },

    /** Ends every family of the account that this token is of. */
    endAccount(given: string, accountOf: (name: string) => string): void {
      const ended = (refreshTokens.get(given) ?? accessTokens.get(given))?.family;
      if (!ended) return;
      for (const { family } of refreshTokens.values())
        if (accountOf(family.name) === accountOf(ended.name)) family.diedAt ??= Date.now();
    },

    alive(given: string): TokenState {
      const known = accessTokens.get(given);
      if (!known) return { alive: false, why: 'unknown', since: null };
      const { diedAt } = known.family;
      if (diedAt !== null && diedAt < known.expiresAt) return { alive: false, why: 'family_dead', since: diedAt };
      if (known.expiresAt <= Date.now()) return { alive: false, why: 'expired', since: known.expiresAt };
      return { alive: true, why: 'alive', since: null };
    },
  };
}
