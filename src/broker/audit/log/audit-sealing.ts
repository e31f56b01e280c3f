// Seals new audit entries into a hash chain, in small steps that hold up no other work. Any process may do it; where two do it
// at once, the store takes one of the seals.
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type AuditSeal, entryText, numberOf, sealId } from '../../../domain/audit-seal.ts';
import {
  AUDIT_SEAL_IDLE_MS,
  AUDIT_SEAL_INTERVAL_MS,
  AUDIT_SEAL_PAUSE_MS,
  DAY_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, Logger, PlacedEntry, Store, Vault } from '../../../ports/index.ts';
import { firstId } from '../../secrets/index.ts';
import type { Access } from '../access.ts';
import { type ChainEnd, endFault, endOf, headOf, sealed } from './audit-head.ts';

/** What is read and hashed at once: less than half a millisecond, also if each entry is a batch of reads. */
const STEP = { firstEntries: 8, maxEntries: 64, characters: 24_000 };
/** Of one seal. */
const MAX_ENTRIES = 10_000;

/** The digest of entries that are added in the order of their places. */
export function entriesDigest() {
  const hash = createHash('sha256');
  const digest = { entries: 0, lastId: null as string | null };
  return {
    /** Returns the length of their text. */
    add(some: readonly PlacedEntry[]): number {
      let characters = 0;
      for (const { position, entry } of some) {
        const text = `${position}\n${entryText(entry)}\n`;
        hash.update(text);
        characters += text.length;
        digest.entries++;
        if (digest.lastId === null || entry.id > digest.lastId) digest.lastId = entry.id;
      }
      return characters;
    },
    /** Once. */
    end: () => ({ ...digest, digest: hash.digest('hex') }),
  };
}

interface Parts {
  store: Pick<Store, 'auditHorizon' | 'entriesBetween' | 'addAuditSeal' | 'auditChainEnd' | 'appendAudit'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
  everyMs?: number | undefined;
  /** The retention period; null: entries are kept for ever. */
  days: number | null;
}

export interface AuditSealing {
  start(): void;
  /** Seals what is stored now, unless another process has just done it. Rejects with `StoreError`. */
  sealNow(): Promise<void>;
  /** Fulfilled when the current round is done. */
  stop(): Promise<void>;
}

export function createAuditSealing(parts: Parts): AuditSealing {
  const { store, vault, access, clock, log, days, everyMs = AUDIT_SEAL_INTERVAL_MS } = parts;
  const stopped = new AbortController();
  const rest = (ms: number) => pause(ms, undefined, { signal: stopped.signal, ref: false }).catch(() => undefined);
  /** The last seal that this process has seen: it must not vanish while it runs. */
  let seen: ChainEnd | undefined;
  let told: string | undefined;
  let headLoggedAt = Number.NEGATIVE_INFINITY;

  function vanished(last: ChainEnd | undefined): string | undefined {
    if (!seen || (last && (last.id > seen.id || (last.id === seen.id && last.hash === seen.hash)))) return undefined;
    const found = last ? `the last one is ${numberOf(last)}` : 'there is none';
    return `seal ${numberOf(seen)} has vanished, ${found}`;
  }

  /**
   * Whether something is wrong with the end of the chain that was not before. The next seal hides it: so an entry says so,
   * which that seal covers.
   */
  async function isCutOff(end: Awaited<ReturnType<typeof store.auditChainEnd>>): Promise<boolean> {
    const fault = vanished(end.last) ?? endFault(vault, end);
    seen = end.last;
    if (fault === undefined || fault === told) return false;
    log.error(
      { fault, seal: end.last?.id ?? null },
      'audit sealing: the end of the chain is not what a broker has left there. Run valetkey audit verify',
    );
    await store.appendAudit([access.recordSystem('audit.seals_missing', { detail: fault }, 'failed')]);
    told = fault;
    return true;
  }

  /** Logs are kept elsewhere than the database. */
  function logHead({ id, hash, sealedAt }: AuditSeal): void {
    if (Math.abs(sealedAt - headLoggedAt) < AUDIT_SEAL_IDLE_MS) return;
    headLoggedAt = sealedAt;
    log.info(
      { head: `${Number(id)}:${hash}` },
      'audit sealing: the head of the chain, for valetkey audit verify --head',
    );
  }

  /** The next seal; undefined: there is nothing to seal yet. */
  async function next(last: ChainEnd | undefined): Promise<AuditSeal | undefined> {
    const fromPosition = last?.toPosition ?? 0;
    const horizon = await store.auditHorizon();
    const tooOld = days === null ? '' : firstId('evt', clock.now() - days * DAY_MS);
    const isIdle = horizon <= fromPosition;
    if (isIdle && last && clock.now() - last.sealedAt < AUDIT_SEAL_IDLE_MS) return undefined;
    const digest = entriesDigest();
    let toPosition = fromPosition;
    // Entries beside each other are alike.
    let limit = STEP.firstEntries;
    for (let count = 0; count < MAX_ENTRIES && toPosition < horizon; ) {
      const some = await store.entriesBetween(toPosition, horizon, limit);
      // Retention deletes those: then nothing would fit their seal.
      if (some.some(({ entry }) => entry.id < tooOld)) return undefined;
      const characters = digest.add(some);
      count += some.length;
      toPosition = some.length < limit ? horizon : some.at(-1)!.position;
      limit = Math.min(STEP.maxEntries, Math.ceil((STEP.characters * some.length) / Math.max(1, characters)));
      if (toPosition < horizon) await pause(AUDIT_SEAL_PAUSE_MS);
    }
    const seal = {
      id: sealId(last ? numberOf(last) + 1 : 1),
      previous: last?.hash ?? null,
      fromPosition,
      toPosition,
      ...digest.end(),
      sealedAt: clock.now(),
    };
    return sealed(vault, seal, true);
  }

  /** `once`: only what was stored at the beginning. */
  async function round(isDue: (last: ChainEnd | undefined) => boolean): Promise<void> {
    for (;;) {
      const end = await store.auditChainEnd();
      const last = endOf(end);
      if (!(await isCutOff(end)) && !isDue(last)) return;
      const seal = await next(last);
      if (seal === undefined || (await store.addAuditSeal(seal, headOf(vault, seal))) === 'taken') return;
      seen = seal;
      told = undefined;
      logHead(seal);
      if (seal.entries < MAX_ENTRIES || stopped.signal.aborted) return;
      isDue = () => true;
    }
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await rest(everyMs);
      if (stopped.signal.aborted) return;
      // Another process may have done it since; a clock that was set back must not stop it.
      const isDue = (last: ChainEnd | undefined) => !last || Math.abs(clock.now() - last.sealedAt) >= everyMs * 0.9;
      await round(isDue).catch((error: unknown) => {
        log.error({ err: error }, 'audit sealing: sealing new entries failed, will retry');
      });
    }
  }

  let running: Promise<void> | undefined;
  return {
    start() {
      running = run();
    },
    sealNow: () => round(() => true),
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
