// Sealing every secret anew with the first key of the ring, while brokers go on serving.
//
// Nothing is remembered between batches or runs: what is not sealed by the first key yet is what is left to do, so
// that it may be killed at any point and begun again.
import {
  type Logger,
  type Reseal,
  type SealedPlace,
  type SealedText,
  type Store,
  type Vault,
  VaultError,
} from '../ports.ts';
import type { Access } from './access.ts';

/** Rows in one commit: a few milliseconds, so that brokers hardly wait. */
const BATCH = 100;
/** Between commits the store is left to the brokers. */
const BREATH_MS = 5;
/** After a round, how long to watch for a broker that still seals with another key. */
const WATCH_MS = 2_000;
/** So many rounds, then whoever goes on sealing with another key has to be found first. */
const ROUNDS = 3;
/** So many of the texts that do not open are named. */
const NAMED = 100;
const PROGRESS_EVERY = 10_000;

export interface Rekeyed {
  /** The key that seals. */
  kid: string;
  /** How many secrets there are in the end. */
  secrets: number;
  /** How many were sealed anew by this run. */
  resealed: number;
  /** Keys of the ring that protect nothing any more: their proof is removed, and they can leave the ring. */
  removable: string[];
  /** What is still sealed by other keys; null: the text names no key. Empty: all is done. */
  remaining: { kid: string | null; secrets: number }[];
  /** What did not open, as it was met last; of many, the first ones are named. */
  unopenable: { count: number; named: (SealedPlace & { reason: VaultError['code'] })[] };
}

interface Parts {
  store: Pick<Store, 'keysInUse' | 'sealedElsewhere' | 'reseal' | 'removeKeyCheck'>;
  ring: Vault & { readonly kids: readonly string[]; readonly sealingKid: string };
  access: Pick<Access, 'recordOwn'>;
  log: Logger;
  pause: (ms: number) => Promise<unknown>;
}

/** What the row of a secret is called when it is sealed, as in `grants.ts`, `targets.ts` and `connect.ts`. */
const SEALED_AS: Record<SealedPlace['table'], string> = {
  integrations: 'integrations',
  grants: 'connections',
  flows: 'flows',
  outbox_revocations: 'connections',
};

/** Rejects with `StoreError`; what was committed until then stays and is good. */
export async function rekey({ store, ring, access, log, pause }: Parts): Promise<Rekeyed> {
  const kid = ring.sealingKid;
  const others = ring.kids.filter((one) => one !== kid);
  let resealed = 0;

  /** Once through everything. A text that somebody changed meanwhile is met again in the next round. */
  async function round(): Promise<Rekeyed['unopenable']> {
    const unopenable: Rekeyed['unopenable'] = { count: 0, named: [] };
    let after: SealedPlace | undefined;
    for (;;) {
      const texts = await store.sealedElsewhere(kid, after, BATCH);
      const changes: Reseal[] = [];
      for (const text of texts) {
        const outcome = sealAnew(ring, text);
        if (typeof outcome !== 'string') changes.push(outcome);
        else if (++unopenable.count <= NAMED) {
          const { table, id, column } = text;
          unopenable.named.push({ table, id, column, reason: outcome });
        }
      }
      const before = resealed;
      if (changes.length > 0) resealed += await store.reseal(changes);
      if (Math.floor(resealed / PROGRESS_EVERY) > Math.floor(before / PROGRESS_EVERY)) {
        log.info({ kid, resealed }, 'keys rotate: under way');
      }
      // Not "until there are none": rows that keep being added at the end would be followed for ever.
      if (rowsOf(texts) < BATCH) return unopenable;
      after = texts.at(-1);
      await pause(BREATH_MS);
    }
  }

  for (let n = 1; ; n++) {
    const unopenable = await round();
    if (others.length > 0) await pause(WATCH_MS);
    const inUse = await store.keysInUse();
    const remaining = inUse.filter((one) => one.kid !== kid);
    if (n < ROUNDS && count(remaining) > unopenable.count) continue;

    const removable = others.filter((one) => !remaining.some((left) => left.kid === null || left.kid === one));
    for (const one of removable) await store.removeKeyCheck(one, access.recordOwn('key.retired', { detail: one }));
    return { kid, secrets: count(inUse), resealed, removable, remaining, unopenable };
  }
}

/** The same secret under the first key, proven to open as it did; or why the text does not open. */
function sealAnew(ring: Vault, { sealedFor, sealed: from, ...place }: SealedText): Reseal | VaultError['code'] {
  const context = { row: `${SEALED_AS[place.table]}/${sealedFor}`, column: place.column };
  let secret: string;
  try {
    secret = ring.open(from, context);
  } catch (error) {
    if (error instanceof VaultError) return error.code;
    throw error;
  }
  const to = ring.seal(secret, context);
  if (ring.open(to, context) !== secret) throw new Error(`${place.table} ${place.id}: sealed anew, it does not open`);
  return { table: place.table, id: place.id, column: place.column, from, to };
}

const rowsOf = (texts: SealedPlace[]): number => new Set(texts.map(({ table, id }) => `${table} ${id}`)).size;
const count = (uses: { secrets: number }[]): number => uses.reduce((sum, { secrets }) => sum + secrets, 0);
