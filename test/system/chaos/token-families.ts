// What the chaos provider remembers: families of single-use refresh tokens, the access tokens of each, and every spend.
import { randomBytes } from 'node:crypto';

/**
 * `first`: rotated · `repeat`: inside the window, the same successor again · `reuse`: the family died of it · `dead`:
 * the family was dead already · `unknown`: no such token.
 */
export type Spent = 'first' | 'repeat' | 'reuse' | 'dead' | 'unknown';

export interface Alive {
  alive: boolean;
  why: 'alive' | 'expired' | 'family_dead' | 'unknown';
  /** When it stopped to be alive, in milliseconds since the epoch. */
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

export function createFamilies() {
  const refreshTokens = new Map<string, RefreshToken>();
  const accessTokens = new Map<string, { family: Family; expiresAt: number }>();

  const addRefreshToken = (family: Family): string => {
    const made = token('rt');
    refreshTokens.set(made, { family, spentAt: null, successor: null });
    return made;
  };

  return {
    /** A new family; its first refresh token. */
    seed: (name: string): string => addRefreshToken({ name, diedAt: null }),

    /** Spends it; `successor` null: refused (`invalid_grant`). A reuse kills the family. */
    spend(given: string, windowMs: number): { spent: Spent; family: string | null; successor: string | null } {
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

    /** An access token that lives from this moment on. */
    issue(successor: string, lifeMs: number): string {
      const made = token('at');
      accessTokens.set(made, { family: refreshTokens.get(successor)!.family, expiresAt: Date.now() + lifeMs });
      return made;
    },

    alive(given: string): Alive {
      const known = accessTokens.get(given);
      if (!known) return { alive: false, why: 'unknown', since: null };
      const { diedAt } = known.family;
      if (diedAt !== null && diedAt < known.expiresAt) return { alive: false, why: 'family_dead', since: diedAt };
      if (known.expiresAt <= Date.now()) return { alive: false, why: 'expired', since: known.expiresAt };
      return { alive: true, why: 'alive', since: null };
    },
  };
}
