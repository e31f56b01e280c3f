// The claim to register a client, as all stores judge it.
import type { ClientRegistration } from '../../ports/index.ts';

export const UNCLAIMED = { claimedBy: null, claimedUntil: null } as const;

/** A claim ends by itself, so that a process that was killed keeps no one from registering. */
export const isFree = ({ claimedUntil }: Pick<ClientRegistration, 'claimedUntil'>, now: number): boolean =>
  claimedUntil === null || claimedUntil <= now;
