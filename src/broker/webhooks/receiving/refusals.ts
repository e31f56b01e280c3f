// What was refused: counted by integration and reason, and some of it listed, without the body.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import type { Clock, Logger, Store, Telemetry } from '../../../ports/index.ts';
import { newId } from '../../secrets/index.ts';

export interface Refused {
  integration: string;
  reason: string;
  method: string;
  /** Without a hook. */
  path: string;
  contentType: string | null;
  /** Undefined: it was refused before it was read. */
  body: Uint8Array | undefined;
}

export interface Refusals {
  /** Never rejects, and does not wait for the store. */
  note(refused: Refused): void;
  /** Fulfilled when nothing is being written. */
  drain(): Promise<void>;
}

/** Of one integration that are listed: strangers must not fill the table. */
const BURST = 20;
const PER_HOUR = 60;
const MAX_INTEGRATIONS = 1_000;

interface Parts {
  store: Pick<Store, 'receive'>;
  telemetry: Pick<Telemetry, 'webhook'>;
  clock: Clock;
  log: Logger;
}

export function createRefusals({ store, telemetry, clock, log }: Parts): Refusals {
  const room = new LRUCache<string, { left: number; at: number }>(upTo(MAX_INTEGRATIONS));
  const writing = new Set<Promise<unknown>>();

  function mayList(integration: string): boolean {
    const now = clock.monotonic();
    const { left, at } = room.get(integration) ?? { left: BURST, at: now };
    const refilled = Math.min(BURST, left + ((now - at) / 3_600_000) * PER_HOUR);
    room.set(integration, { left: Math.max(0, refilled - 1), at: now });
    return refilled >= 1;
  }

  return {
    note({ body = new Uint8Array(), ...refused }) {
      const { integration, reason } = refused;
      telemetry.webhook(integration, reason);
      log.debug({ integration, reason }, 'webhooks: refused');
      if (!mayList(integration)) return;
      const now = clock.now();
      const row = {
        ...refused,
        id: newId('whr', now),
        kind: 'webhook' as const,
        status: 'refused' as const,
        receivedAt: now,
        headers: {},
        digest: hash('sha256', body, 'hex'),
        size: body.byteLength,
        body: null,
        items: [],
        attempts: 0,
        nextAt: null,
        processedAt: now,
      };
      const written = store
        .receive(row, {}, Number.MAX_SAFE_INTEGER)
        .catch((error: unknown) => log.warn({ err: error, integration }, 'webhooks: a refusal could not be listed'))
        .finally(() => writing.delete(written));
      writing.add(written);
    },
    drain: async () => void (await Promise.allSettled([...writing])),
  };
}
