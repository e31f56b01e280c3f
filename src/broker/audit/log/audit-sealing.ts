// Seals new audit entries into a hash chain, in small steps that hold up no other work. Any process may do it; where two do it
// at once, the store takes one of the seals.
import { createHash } from 'node:crypto';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { type AuditSeal, entryText, numberOf, sealId } from '../../../domain/audit-seal.ts';
import { createPeriodicTask } from '../../../domain/periodic-task.ts';
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

/** What is read at once: half a millisecond of SQLite, also if each entry is a batch of reads. */
const PORTION = { firstEntries: 8, maxEntries: 64, characters: 400_000 };
/** What is hashed in a turn of the event loop: 0.2 ms. */
const CHARACTERS_PER_TURN = 24_000;
/** Of one seal: less than a second, after which other processes find it and leave the rest of a long round to this one. */
const MAX_ENTRIES = 1_000;
/** A process that ends has no time for more. */
const MAX_SEALS_AT_END = 10;

/** The digest of entries, each added in the order of their places. */
export function entriesDigest() {
  const hash = createHash('sha256');
  const digest = { entries: 0, lastId: null as string | null };
  return {
    /** Returns the length of its text. */
    add({ position, entry }: PlacedEntry): number {
      const text = `${position}\n${entryText(entry)}\n`;
      hash.update(text);
      digest.entries++;
      if (digest.lastId === null || entry.id > digest.lastId) digest.lastId = entry.id;
      return text.length;
    },
    /** Once. */
    end: () => ({ ...digest, digest: hash.digest('hex') }),
  };
}

/** Returns the length of their text. */
async function addInTurns(digest: ReturnType<typeof entriesDigest>, some: readonly PlacedEntry[]): Promise<number> {
  let characters = 0;
  let left = 0;
  for (const one of some) {
    if (left <= 0) {
      await turn();
      left = CHARACTERS_PER_TURN;
    }
    const length = digest.add(one);
    characters += length;
    left -= length;
  }
  return characters;
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
  /** Seals what is stored now, some thousand entries at most, unless another process has just done it. Rejects with `StoreError`. */
  sealNow(): Promise<void>;
  /** Fulfilled when the current round is done. */
  stop(): Promise<void>;
}

export function createAuditSealing(parts: Parts): AuditSealing {
  const { store, vault, access, clock, log, days, everyMs = AUDIT_SEAL_INTERVAL_MS } = parts;
  const sealing = createPeriodicTask(round, (error) =>
    log.error({ err: error }, 'audit sealing: sealing new entries failed, will retry'),
  );
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
    let limit = PORTION.firstEntries;
    for (let count = 0; count < MAX_ENTRIES && toPosition < horizon; ) {
      const some = await store.entriesBetween(toPosition, horizon, limit);
      // Retention deletes those: then nothing would fit their seal.
      if (some.some(({ entry }) => entry.id < tooOld)) return undefined;
      const characters = await addInTurns(digest, some);
      count += some.length;
      toPosition = some.length < limit ? horizon : some.at(-1)!.position;
      limit = Math.min(PORTION.maxEntries, Math.ceil((PORTION.characters * some.length) / Math.max(1, characters)));
      // With more than a seal left, it has fallen behind.
      if (toPosition < horizon && horizon - toPosition <= MAX_ENTRIES) await pause(AUDIT_SEAL_PAUSE_MS);
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

  /** True: there may be more to seal. */
  async function addSeal(isDue: (last: ChainEnd | undefined) => boolean = () => true): Promise<boolean> {
    const end = await store.auditChainEnd();
    const last = endOf(end);
    if (!(await isCutOff(end)) && !isDue(last)) return false;
    const seal = await next(last);
    if (seal === undefined || (await store.addAuditSeal(seal, headOf(vault, seal))) === 'taken') return false;
    seen = seal;
    told = undefined;
    logHead(seal);
    return seal.entries >= MAX_ENTRIES;
  }

  async function round(): Promise<void> {
    // Another process may have done it since; a clock that was set back must not stop it.
    const isDue = (last: ChainEnd | undefined) => !last || Math.abs(clock.now() - last.sealedAt) >= everyMs * 0.9;
    for (let isMore = await addSeal(isDue); isMore && !sealing.isStopped(); ) isMore = await addSeal();
  }

  return {
    start: () => sealing.start(everyMs, everyMs),
    async sealNow() {
      for (let seals = 0, isMore = true; isMore && seals < MAX_SEALS_AT_END; seals++) isMore = await addSeal();
    },
    stop: sealing.stop,
  };
}
