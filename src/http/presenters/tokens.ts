// Presents tokens that are served, and proofs of them.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { ServedToken } from '../../broker/cache/index.ts';
import type { Proof } from '../../broker/tokens/index.ts';
import { missingScopes } from '../../domain/missing-scopes.ts';
import { CLOCK_SKEW_MAX_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';
import { timeOrNull } from './times.ts';

/** Seconds until it expires, and when, in ms since the epoch; null: never. */
export interface Expiry {
  in: number | null;
  at: number | null;
}

/**
 * The two never contradict each other. Of a wall clock that was set, the earlier end counts: it is not known which of the
 * two was right.
 */
export function expiryOf({ connection: { expiresAt }, until }: ServedToken, clock: Clock): Expiry {
  if (expiresAt === null) return { in: null, at: null };
  const now = clock.now();
  const left = until - clock.monotonic();
  return {
    in: Math.max(0, Math.floor(Math.min(left, expiresAt - now) / 1_000)),
    at: expiresAt - now - left > CLOCK_SKEW_MAX_MS ? Math.round(now + left) : expiresAt,
  };
}

/** `requested`: the scopes that the integration asks for. All members but `expires_in`. They stay the same for as long as the token does, unless the wall clock is set back. */
export const tokenFacts = (
  { connection: c, accessToken }: ServedToken,
  expiresAt: number | null,
  requested: readonly string[],
) => ({
  connection_id: c.id,
  integration: c.integration,
  owner: c.owner,
  access_token: accessToken,
  token_type: c.tokenType,
  scopes: c.scopes,
  missing_scopes: missingScopes(requested, c.scopes),
  expires_at: timeOrNull(expiresAt),
});

export function presentToken(
  served: ServedToken,
  requested: readonly string[],
  clock: Clock,
): z.infer<typeof api.TokenView> {
  const expiry = expiryOf(served, clock);
  return { ...tokenFacts(served, expiry.at, requested), expires_in: expiry.in };
}

export const presentProof = ({ proof, served }: Proof, clock: Clock): z.infer<typeof api.ProofView> => ({
  proof,
  access_token: served.accessToken,
  token_type: served.connection.tokenType,
  expires_in: expiryOf(served, clock).in,
});
