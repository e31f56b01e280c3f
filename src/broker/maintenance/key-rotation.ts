// Key rotation: re-encryption of every secret with the first key of the ring, while brokers keep serving.
//
// There is no progress to store: what the first key has not encrypted is what is left to do. So a run may be killed at
// any point and started again, and several runs may share the work.
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

/** Rows per commit: some four milliseconds, during which brokers wait on SQLite; on PostgreSQL only for these rows. */
const BATCH = 50;
/** After these rounds, a broker that still encrypts with another key has to be found first. */
const ROUNDS = 3;
/**
 * While rows are locked by other processes. Longer than a store lets a statement of a hung or disconnected process run,
 * so that this run waits for another one and does what that leaves undone.
 */
const ROUNDS_WITH_LOCKED_ROWS = 10;
/** Undecryptable secrets that the result names. */
const MAX_NAMED = 100;
const PROGRESS_EVERY = 10_000;

export interface KeyRotationResult {
  /** The id of the key that encrypts. */
  kid: string;
  /** The number of secrets at the end of the run. */
  secrets: number;
  /** The number of secrets that this run re-encrypted. */
  reencrypted: number;
  /** Keys of the ring that protect nothing any more. Their proof is deleted; they can be removed from the ring. */
  removable: string[];
  /** Secrets under other keys, in the store or the rescue file; null: the ciphertext names no key. Empty: all is done. */
  remaining: { kid: string | null; secrets: number }[];
  /** How many of these are in the rescue file, which a broker replays. */
  rescued: number;
  /** Secrets that could not be decrypted in the last round; only the first ones are named. */
  unopenable: { count: number; named: (SecretColumn & { reason: VaultError['code'] })[] };
}

interface Parts {
  store: Pick<Store, 'keysInUse' | 'reencryptBatch' | 'removeKeyCheck'>;
  ring: Vault & { readonly kids: readonly string[]; readonly encryptionKid: string };
  rescue: Pick<Rescue, 'all'>;
  access: Pick<Access, 'recordSystem'>;
  log: Logger;
  pause: (ms: number) => Promise<unknown>;
}

/** The row name in the encryption context, as in `token-encryption.ts`, `unreadable-responses.ts`, `targets.ts` and `connect-flow/steps.ts`. */
const CONTEXT_ROWS: Record<SecretColumn['table'], string> = {
  integrations: 'integrations',
  grants: 'connections',
  flows: 'flows',
  candidates: 'candidates',
  outbox_revocations: 'connections',
  unreadable_responses: 'unreadable_responses',
};

/** Rejects with `StoreError`; what was committed until then stays. */
export async function rotateKeys({ store, ring, rescue, access, log, pause }: Parts): Promise<KeyRotationResult> {
  const kid = ring.encryptionKid;
  const others = ring.kids.filter((one) => one !== kid);
  let reencrypted = 0;

  /** Goes through all rows once. Rows that another process has locked are left to the next round. */
  async function round(): Promise<Pick<KeyRotationResult, 'unopenable'> & { skipped: number }> {
    const unopenable: KeyRotationResult['unopenable'] = { count: 0, named: [] };
    let skipped = 0;
    let after: SecretRowKey | null = null;
    for (;;) {
      const faults = new Map<Ciphertext, VaultError['code']>();
      const some = await store.reencryptBatch(kid, after, BATCH, (text) => {
        const outcome = reencrypt(ring, text);
        if (!(outcome instanceof VaultError)) return outcome;
        faults.set(text.ciphertext, outcome.code);
        return undefined;
      });
      for (const { table, id, column, ciphertext } of some.left)
        if (++unopenable.count <= MAX_NAMED)
          unopenable.named.push({ table, id, column, reason: faults.get(ciphertext)! });
      skipped += some.skipped;
      const before = reencrypted;
      reencrypted += some.reencrypted;
      if (Math.floor(reencrypted / PROGRESS_EVERY) > Math.floor(before / PROGRESS_EVERY)) {
        log.info({ kid, reencrypted }, 'key rotation: in progress');
      }
      // One pass, not "until there are none": with rows being added at the end, that would never be over.
      if (some.next === null) return { unopenable, skipped };
      after = some.next;
      // If another run has done these rows, nothing was locked here.
      if (some.reencrypted > 0) await pause(REENCRYPTION_PAUSE_MS);
    }
  }

  for (let n = 1; ; n++) {
    const { unopenable, skipped } = await round();
    if (others.length > 0) await pause(KEY_ROTATION_WATCH_MS);
    // Read before the store: a secret that is replayed meanwhile is then counted there, or twice, but not missed.
    const rescued = (await rescuedKids(rescue)).filter((one) => one !== kid);
    const inUse = await store.keysInUse();
    const underOthers = inUse.filter((one) => one.kid !== kid);
    const rounds = skipped > 0 ? ROUNDS_WITH_LOCKED_ROWS : ROUNDS;
    if (n < rounds && count(underOthers) + rescued.length > unopenable.count) continue;

    const remaining = tally([...underOthers, ...rescued.map((one) => ({ kid: one, secrets: 1 }))]);
    const removable = others.filter((one) => !remaining.some((left) => left.kid === null || left.kid === one));
    for (const one of removable) await store.removeKeyCheck(one, access.recordSystem('key.retired', { detail: one }));
    const secrets = count(inUse) + rescued.length;
    return { kid, secrets, reencrypted, removable, remaining, rescued: rescued.length, unopenable };
  }
}

/** The same secret under the first key, decrypted once to verify it; or why it cannot be decrypted. */
function reencrypt(ring: Vault, { table, id, column, boundTo, ciphertext }: EncryptedSecret): Ciphertext | VaultError {
  const context = { row: `${CONTEXT_ROWS[table]}/${boundTo}`, column };
  let secret: string;
  try {
    secret = ring.decrypt(ciphertext, context);
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  const reencrypted = ring.encrypt(secret, context);
  if (ring.decrypt(reencrypted, context) !== secret)
    throw new Error(`${table} ${id}: the re-encrypted secret cannot be decrypted`);
  return reencrypted;
}

/** The key ids of the secrets in the rescue file. */
async function rescuedKids(rescue: Pick<Rescue, 'all'>): Promise<(string | null)[]> {
  const { responses, unreadable } = await rescue.all();
  const texts = responses.flatMap(({ grant }) => Object.values(grant)).filter((text) => text !== null);
  const kids = texts.map((text) => /^v1\.([^.]+)\./.exec(text)?.[1] ?? null);
  return [...kids, ...unreadable.flatMap(({ text }) => [...text.matchAll(/\bv1\.([^."]+)\./g)].map(([, kid]) => kid!))];
}

type Use = KeyRotationResult['remaining'][number];
const tally = (uses: Use[]): Use[] =>
  [...Map.groupBy(uses, ({ kid }) => kid)].map(([kid, all]) => ({ kid, secrets: count(all) }));

const count = (uses: { secrets: number }[]): number => uses.reduce((sum, { secrets }) => sum + secrets, 0);
