// Sealing every secret anew with the first key of the ring, while brokers go on serving.
//
// Nothing is remembered between batches or runs: what is not sealed by the first key yet is what is left to do, so
// that it may be killed at any point and begun again, and that several may run at once: they share the rows.
import type { Ciphertext } from '../../domain/connection.ts';
import { KEY_ROTATION_WATCH_MS, REENCRYPTION_PAUSE_MS } from '../../domain/time-limits.ts';
import {
  type EncryptedSecret,
  type Logger,
  type Rescue,
  type SecretColumn,
  type SecretRowKey,
  type Store,
  type Vault,
  VaultError,
} from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';

/** Rows in one commit: some four milliseconds, for which brokers wait on SQLite, and on PostgreSQL for these rows alone. */
const BATCH = 50;
/** So many rounds, then whoever goes on sealing with another key has to be found first. */
const ROUNDS = 3;
/**
 * But so many while rows are somebody else's: longer than a store lets a sentence take whose process hangs or was cut off,
 * so that another rotation is waited for, and what it leaves undone is done here.
 */
const ROUNDS_BESIDE_OTHERS = 10;
/** So many of the texts that do not open are named. */
const NAMED = 100;
const PROGRESS_EVERY = 10_000;

export interface KeyRotationResult {
  /** The key that seals. */
  kid: string;
  /** How many secrets there are in the end. */
  secrets: number;
  /** How many were sealed anew by this run. */
  reencrypted: number;
  /** Keys of the ring that protect nothing any more: their proof is removed, and they can leave the ring. */
  removable: string[];
  /** What other keys still protect, here or in the rescue file; null: the text names no key. Empty: all is done. */
  remaining: { kid: string | null; secrets: number }[];
  /** How many of these wait in the rescue file, for a broker that takes them in. */
  rescued: number;
  /** What did not open, as it was met last; of many, the first ones are named. */
  unopenable: { count: number; named: (SecretColumn & { reason: VaultError['code'] })[] };
}

interface Parts {
  store: Pick<Store, 'keysInUse' | 'reencryptBatch' | 'removeKeyCheck'>;
  ring: Vault & { readonly kids: readonly string[]; readonly sealingKid: string };
  rescue: Pick<Rescue, 'all'>;
  access: Pick<Access, 'recordSystem'>;
  log: Logger;
  pause: (ms: number) => Promise<unknown>;
}

/** What the row of a secret is called when it is sealed, as in `grants.ts`, `targets.ts` and `connect.ts`. */
const SEALED_AS: Record<SecretColumn['table'], string> = {
  integrations: 'integrations',
  grants: 'connections',
  flows: 'flows',
  outbox_revocations: 'connections',
};

/** Rejects with `StoreError`; what was committed until then stays and is good. */
export async function rotateKeys({ store, ring, rescue, access, log, pause }: Parts): Promise<KeyRotationResult> {
  const kid = ring.sealingKid;
  const others = ring.kids.filter((one) => one !== kid);
  let reencrypted = 0;

  /** Once through everything. What is somebody else's meanwhile is met again in the next round. */
  async function round(): Promise<Pick<KeyRotationResult, 'unopenable'> & { passed: number }> {
    const unopenable: KeyRotationResult['unopenable'] = { count: 0, named: [] };
    let passed = 0;
    let after: SecretRowKey | null = null;
    for (;;) {
      const faults = new Map<Ciphertext, VaultError['code']>();
      const some = await store.reencryptBatch(kid, after, BATCH, (text) => {
        const outcome = reencrypt(ring, text);
        if (!(outcome instanceof VaultError)) return outcome;
        faults.set(text.sealed, outcome.code);
        return undefined;
      });
      for (const { table, id, column, sealed } of some.left)
        if (++unopenable.count <= NAMED) unopenable.named.push({ table, id, column, reason: faults.get(sealed)! });
      passed += some.skipped;
      const before = reencrypted;
      reencrypted += some.reencrypted;
      if (Math.floor(reencrypted / PROGRESS_EVERY) > Math.floor(before / PROGRESS_EVERY)) {
        log.info({ kid, reencrypted }, 'keys rotate: under way');
      }
      // Not "until there are none": rows that keep being added at the end would be followed for ever.
      if (some.next === null) return { unopenable, passed };
      after = some.next;
      // Where others were quicker nobody was kept waiting.
      if (some.reencrypted > 0) await pause(REENCRYPTION_PAUSE_MS);
    }
  }

  for (let n = 1; ; n++) {
    const { unopenable, passed } = await round();
    if (others.length > 0) await pause(KEY_ROTATION_WATCH_MS);
    // Before the store is asked: what is taken in meanwhile is then seen there, or at both places.
    const rescued = (await rescuedKids(rescue)).filter((one) => one !== kid);
    const inUse = await store.keysInUse();
    const elsewhere = inUse.filter((one) => one.kid !== kid);
    const rounds = passed > 0 ? ROUNDS_BESIDE_OTHERS : ROUNDS;
    if (n < rounds && count(elsewhere) + rescued.length > unopenable.count) continue;

    const remaining = tally([...elsewhere, ...rescued.map((one) => ({ kid: one, secrets: 1 }))]);
    const removable = others.filter((one) => !remaining.some((left) => left.kid === null || left.kid === one));
    for (const one of removable) await store.removeKeyCheck(one, access.recordSystem('key.retired', { detail: one }));
    const secrets = count(inUse) + rescued.length;
    return { kid, secrets, reencrypted, removable, remaining, rescued: rescued.length, unopenable };
  }
}

/** The same secret under the first key, proven to open as it did; or why the text does not open. */
function reencrypt(ring: Vault, { table, id, column, sealedFor, sealed }: EncryptedSecret): Ciphertext | VaultError {
  const context = { row: `${SEALED_AS[table]}/${sealedFor}`, column };
  let secret: string;
  try {
    secret = ring.decrypt(sealed, context);
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  const anew = ring.encrypt(secret, context);
  if (ring.decrypt(anew, context) !== secret) throw new Error(`${table} ${id}: sealed anew, it does not open`);
  return anew;
}

/** The key of each text that waits in the rescue file. */
async function rescuedKids(rescue: Pick<Rescue, 'all'>): Promise<(string | null)[]> {
  const texts = (await rescue.all()).flatMap(({ grant }) => Object.values(grant));
  return texts.filter((text) => text !== null).map((text) => /^v1\.([^.]+)\./.exec(text)?.[1] ?? null);
}

type Use = KeyRotationResult['remaining'][number];
const tally = (uses: Use[]): Use[] =>
  [...Map.groupBy(uses, ({ kid }) => kid)].map(([kid, all]) => ({ kid, secrets: count(all) }));

const count = (uses: { secrets: number }[]): number => uses.reduce((sum, { secrets }) => sum + secrets, 0);
