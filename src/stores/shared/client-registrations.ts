// The claim to register a client, as all stores judge it.
import type { ClientRegistration, RegistrationBounds } from '../../ports/index.ts';

export const UNCLAIMED = { claimedBy: null, claimedUntil: null } as const;

/** A claim ends by itself, so that a process that was killed keeps no one from registering. */
export const isFree = ({ claimedUntil }: Pick<ClientRegistration, 'claimedUntil'>, now: number): boolean =>
  claimedUntil === null || claimedUntil <= now;

/** How many have to go before there is a new one. */
export const inExcess = (registrations: number, { most }: Pick<RegistrationBounds, 'most'>): number =>
  Math.max(0, registrations + 1 - most);
