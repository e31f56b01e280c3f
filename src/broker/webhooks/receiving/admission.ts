// Admission: how much unverified work an address may cause at an integration, and how many bytes are read at once. What is
// verified gives its token back, so that genuine senders have no limit, and a forger at the same address does not lock them
// out but slows them. The room for bodies is shared by dynamic thresholds: each network may fill as much as it leaves free.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { clientNetwork } from '../../../domain/ip-ranges.ts';
import { GENUINE_SENDER_MS } from '../../../domain/time-limits.ts';
import type { Clock } from '../../../ports/index.ts';

export interface Admission {
  /** Whole seconds to wait; 0: admitted, and a token is taken. */
  take(integration: string, address: string | null): number;
  /** A body of so many bytes was hashed and not verified: takes a token for each 64 KiB. */
  charge(integration: string, address: string | null, bytes: number): void;
  /** It was verified: the token goes back, and its network is no stranger for a while. */
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
/** Bytes of an unverified body that count as one more request. */
const BYTES_PER_TOKEN = 64 * 1024;
/** Strangers choose their addresses, and what they call an integration. */
const MAX_BUCKETS = 20_000;
/** Of all bodies that are being read or verified. */
const MAX_BYTES = 128 * 1024 * 1024;
/** Of networks from which nothing was verified in the last hour: the rest is for senders that are known to be genuine. */
const MAX_BYTES_OF_STRANGERS = MAX_BYTES / 2;
/** Of one network: the largest body that the catalogue allows (25 MiB), and some more. */
const MAX_BYTES_OF_ONE = MAX_BYTES / 4;

export function createAdmission(clock: Pick<Clock, 'monotonic'>): Admission {
  const buckets = new LRUCache<string, { tokens: number; at: number }>(upTo(MAX_BUCKETS));
  /** Networks from which something was verified, and until when that counts. */
  const genuine = new LRUCache<string, number>(upTo(MAX_BUCKETS));
  let bytes = 0;
  let bytesOfStrangers = 0;
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
    charge(integration, address, bytes) {
      bucketOf(keyOf(integration, address)).tokens -= Math.floor(bytes / BYTES_PER_TOKEN);
    },
    giveBack(integration, address) {
      const bucket = buckets.get(keyOf(integration, address));
      if (bucket) bucket.tokens = Math.min(BURST, bucket.tokens + 1);
      genuine.set(clientNetwork(address ?? 'unknown'), clock.monotonic() + GENUINE_SENDER_MS);
    },
    room(address) {
      const network = clientNetwork(address ?? 'unknown');
      const isStranger = (genuine.get(network) ?? Number.NEGATIVE_INFINITY) <= clock.monotonic();
      let taken = 0;
      let isReleased = false;
      return {
        take(wanted) {
          const own = bytesOf.get(network) ?? 0;
          const left = Math.min(
            MAX_BYTES - bytes - wanted,
            isStranger ? MAX_BYTES_OF_STRANGERS - bytesOfStrangers - wanted : Number.POSITIVE_INFINITY,
          );
          // A network has no more than it leaves: however many fill it, there is room for one that has little.
          if (isReleased || own + wanted > Math.min(MAX_BYTES_OF_ONE, left)) return false;
          taken += wanted;
          bytes += wanted;
          if (isStranger) bytesOfStrangers += wanted;
          bytesOf.set(network, own + wanted);
          return true;
        },
        release() {
          if (isReleased) return;
          isReleased = true;
          bytes -= taken;
          if (isStranger) bytesOfStrangers -= taken;
          const left = (bytesOf.get(network) ?? 0) - taken;
          if (left > 0) bytesOf.set(network, left);
          else bytesOf.delete(network);
        },
      };
    },
  };
}
