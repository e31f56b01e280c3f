// Limits of failed authentications: for each network and each kind of credential, so that guesses of one kind lock out no one
// who uses another.
import { clientNetwork } from '../../domain/ip-ranges.ts';
import { AUTHENTICATION_WINDOW_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';

/** How a request says who it is. `none`: not at all. `other`: with a scheme that is not ours. */
export type CredentialKind =
  | 'none'
  | 'other'
  | 'key'
  | 'jwt'
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'client_assertion';

/** Failures of one kind that a network may have in a window. */
const FAILURES = 30;
/** Strangers choose their addresses: of more networks than this, the oldest is forgotten. */
const MAX_COUNTED = 20_000;

export interface FailureLimits {
  /** Ms until the network may try this kind again; 0: it may. */
  waitOf(kind: CredentialKind, address: string | null): number;
  /** Counts a failure, and returns the same as `waitOf` did before it. */
  count(kind: CredentialKind, address: string | null): number;
  /** Counts a failure that another process has told. */
  note(key: string): void;
  /** Networks and kinds in memory. */
  size(): number;
}

/** `tell` is called with the key of each failure that is counted, for the other processes of this machine. */
export function createFailureLimits(
  clock: Pick<Clock, 'monotonic'>,
  tell: (key: string) => void = () => undefined,
): FailureLimits {
  /** All windows have one length, so the order of insertion is the order in which they end. */
  const windows = new Map<string, { failures: number; endsAt: number }>();
  const keyOf = (kind: CredentialKind, address: string | null) => `${kind} ${clientNetwork(address ?? 'unknown')}`;

  function open(key: string, now: number) {
    const found = windows.get(key);
    if (found && found.endsAt > now) return found;
    windows.delete(key);
    return undefined;
  }

  function makeRoom(now: number): void {
    for (const [key, { endsAt }] of windows) {
      if (endsAt > now && windows.size < MAX_COUNTED) return;
      windows.delete(key);
    }
  }

  /** Ms until the network may try again, as it was before; then nothing is counted. */
  function add(key: string): number {
    const now = clock.monotonic();
    const window = open(key, now);
    if (!window) {
      makeRoom(now);
      windows.set(key, { failures: 1, endsAt: now + AUTHENTICATION_WINDOW_MS });
      return 0;
    }
    if (window.failures >= FAILURES) return window.endsAt - now;
    window.failures++;
    return 0;
  }

  return {
    waitOf(kind, address) {
      const now = clock.monotonic();
      const window = open(keyOf(kind, address), now);
      return window && window.failures >= FAILURES ? window.endsAt - now : 0;
    },
    count(kind, address) {
      const key = keyOf(kind, address);
      const wait = add(key);
      if (wait === 0) tell(key);
      return wait;
    },
    note: (key) => void add(key),
    size: () => windows.size,
  };
}
