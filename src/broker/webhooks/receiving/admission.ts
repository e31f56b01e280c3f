// Admission: how much unverified work an address may cause at an integration, and how many bytes are read at once. What is
// verified gives its token back, so that genuine senders have no limit, and a forger at the same address does not lock them
// out but slows them.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { clientNetwork } from '../../../domain/ip-ranges.ts';
import type { Clock } from '../../../ports/index.ts';

export interface Admission {
  /** Whole seconds to wait; 0: admitted, and a token is taken. */
  take(integration: string, address: string | null): number;
  /** It was verified: the token goes back. */
  giveBack(integration: string, address: string | null): void;
  /** Room for a body that this address is about to send. */
  room(address: string | null): Room;
}

/** It is of what has arrived: who announces a body and sends none of it takes no room from others. */
export interface Room {
  /** Before these bytes are kept. False: too many are, and they must not be. */
  take(bytes: number): boolean;
  /** The body is not kept any more. */
  release(): void;
}

/** Unverified requests that an address may have at an integration at once, and how many more each second. */
const BURST = 1_000;
const PER_SECOND = 50;
/** Strangers choose their addresses, and what they call an integration. */
const MAX_BUCKETS = 20_000;
/** Of all bodies that are being read or verified. */
const MAX_BYTES = 128 * 1024 * 1024;
/** Of one address: the rest is for others. */
const MAX_BYTES_OF_ONE = MAX_BYTES / 4;

export function createAdmission(clock: Pick<Clock, 'monotonic'>): Admission {
  const buckets = new LRUCache<string, { tokens: number; at: number }>(upTo(MAX_BUCKETS));
  let bytes = 0;
  const bytesOf = new Map<string, number>();
  const keyOf = (integration: string, address: string | null) =>
    `${integration} ${clientNetwork(address ?? 'unknown')}`;
  function bucketOf(key: string) {
    const now = clock.monotonic();
    const bucket = buckets.get(key) ?? { tokens: BURST, at: now };
    bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1_000) * PER_SECOND);
    bucket.at = now;
    buckets.set(key, bucket);
    return bucket;
  }
  return {
    take(integration, address) {
      const bucket = bucketOf(keyOf(integration, address));
      if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / PER_SECOND));
      bucket.tokens--;
      return 0;
    },
    giveBack(integration, address) {
      const bucket = buckets.get(keyOf(integration, address));
      if (bucket) bucket.tokens = Math.min(BURST, bucket.tokens + 1);
    },
    room(address) {
      const network = clientNetwork(address ?? 'unknown');
      let taken = 0;
      let isReleased = false;
      return {
        take(wanted) {
          const own = bytesOf.get(network) ?? 0;
          if (isReleased || bytes + wanted > MAX_BYTES || own + wanted > MAX_BYTES_OF_ONE) return false;
          taken += wanted;
          bytes += wanted;
          bytesOf.set(network, own + wanted);
          return true;
        },
        release() {
          if (isReleased) return;
          isReleased = true;
          bytes -= taken;
          const left = (bytesOf.get(network) ?? 0) - taken;
          if (left > 0) bytesOf.set(network, left);
          else bytesOf.delete(network);
        },
      };
    },
  };
}
