// Key rotation: re-encryption of every secret with the first key of the ring, while brokers keep serving.
//
// There is no progress to store: what the first key has not encrypted is what is left to do. So a run may be killed at
// any point and started again, and several runs may share the work.
//
// On a database of an earlier release, the checks of the keys first say that brokers write in the present form. One of the first
// releases also becomes one that accepts only what is bound to its owner and authenticated: `migrating` meanwhile, and when
// nothing else is left, `enforced`.
import type { Ciphertext } from '../../../domain/connection.ts';
import { KEY_ROTATION_WATCH_MS, REENCRYPTION_PAUSE_MS } from '../../../domain/time-limits.ts';
import {
  type EncryptedSecret,
  type EncryptionStage,
  type Envelope,
  isLatest,
  isSameStage,
  type KeyCheck,
  LATEST_STAGE,
  type Logger,
  laterStage,
  type Rescue,
  type RowMac,
  type RowProtection,
  type SecretColumn,
  type SecretRowKey,
  type Store,
  type Vault,
  VaultError,
} from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import { authenticateRows } from './row-authentication.ts';

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
  /** Brokers that had not applied the latest changes, so that no key is retired and nothing more enforced yet. */
  behind: number;
  /** Rows that this run has authenticated under the first key. */
  authenticated: number;
  /** Rows that something else than a broker has changed: they are not used. */
  inauthentic: Pick<RowMac, 'table' | 'id'>[];
  protection: RowProtection;
  /** The form in which brokers write from this run on; undefined: they did before. */
  newForm: Envelope | undefined;
}

interface Parts {
  store: Pick<
    Store,
    | 'keysInUse'
    | 'keyChecks'
    | 'replaceKeyCheck'
    | 'reencryptBatch'
    | 'removeKeyCheck'
    | 'callers'
    | 'integrations'
    | 'sessionsToAuthenticate'
    | 'openJobs'
    | 'replaceMac'
    | 'untilApplied'
  >;
  ring: Vault & {
    readonly kids: readonly string[];
    readonly encryptionKid: string;
    check(kid: string, stage: EncryptionStage): KeyCheck;
    readCheck(check: KeyCheck): EncryptionStage | undefined;
    advance(stage: EncryptionStage): void;
  };
  rescue: Pick<Rescue, 'all'>;
  access: Pick<Access, 'recordSystem'>;
  log: Logger;
  pause: (ms: number) => Promise<unknown>;
  /** Told of each batch that has changed something. When it rejects, the run ends with that; another one goes on. */
  onBatch?: (reencrypted: number) => Promise<void>;
}

/** The row name in the encryption context, as in `token-encryption.ts`, `unreadable-responses.ts`, `captured-calls.ts`, `targets.ts` and `connect-flow/steps.ts`. */
const CONTEXT_ROWS: Record<SecretColumn['table'], string> = {
  integrations: 'integrations',
  grants: 'connections',
  flows: 'flows',
  candidates: 'candidates',
  portal_sessions: 'portal_sessions',
  outbox_revocations: 'connections',
  client_registrations: 'client_registrations',
  unreadable_responses: 'unreadable_responses',
  captured_calls: 'captured_calls',
  audit_seals: 'audit_seals',
  events: 'events',
  webhook_endpoints: 'webhook_endpoints',
  deliveries: 'deliveries',
  received_webhooks: 'received_webhooks',
  receiver_settings: 'receiver_settings',
  signing_keys: 'signing_keys',
};

/** Rejects with `StoreError`; what was committed until then stays. */
export async function rotateKeys({
  store,
  ring,
  rescue,
  access,
  log,
  pause,
  onBatch,
}: Parts): Promise<KeyRotationResult> {
  const kid = ring.encryptionKid;
  const others = ring.kids.filter((one) => one !== kid);
  let reencrypted = 0;
  let authenticated = 0;
  const wasLatest = isLatest(ring.stage());

  /** Brokers that follow the changes know at once. What another rotation has taken on meanwhile stays. */
  async function advance(wanted: EncryptionStage): Promise<void> {
    const checks = await store.keyChecks();
    ring.learn(checks);
    const stage = laterStage(wanted, ring.stage());
    const stored = new Map(checks.filter((check) => ring.kids.includes(check.kid)).map((check) => [check.kid, check]));
    for (const one of new Set([kid, ...stored.keys()])) {
      const before = stored.get(one);
      const said = before && ring.readCheck(before);
      if (said && isSameStage(said, stage)) continue;
      const by = access.recordSystem('key.protection', { detail: `${one} ${stage.protection} ${stage.envelope}` });
      const check = ring.check(one, stage);
      if (!(await store.replaceKeyCheck(check, before?.ciphertext ?? null, by))) return advance(wanted);
    }
    ring.advance(stage);
    const behind = await store.untilApplied(KEY_ROTATION_WATCH_MS);
    if (behind > 0) log.warn({ ...stage, brokers: behind }, 'key rotation: brokers have not applied this yet');
  }

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
      if (some.reencrypted > 0) await onBatch?.(some.reencrypted);
      // One pass, not "until there are none": with rows being added at the end, that would never be over.
      if (some.next === null) return { unopenable, skipped };
      after = some.next;
      // If another run has done these rows, nothing was locked here.
      if (some.reencrypted > 0) await pause(REENCRYPTION_PAUSE_MS);
    }
  }

  const { envelope } = LATEST_STAGE;
  const newForm = ring.stage().envelope === envelope ? undefined : envelope;
  if (newForm)
    await advance({ envelope, protection: ring.protection() === 'legacy' ? 'migrating' : ring.protection() });
  for (let n = 1; ; n++) {
    // One that hangs may still write with an old key, or what is not accepted any more once that is enforced. The pause below is for
    // what others were writing when they heard of it.
    const isWatched = others.length > 0 || ring.protection() === 'migrating';
    const behind = isWatched ? await store.untilApplied(KEY_ROTATION_WATCH_MS) : 0;
    const { unopenable, skipped } = await round();
    const rows = await authenticateRows({ store, ring });
    if (others.length > 0 || !wasLatest) await pause(KEY_ROTATION_WATCH_MS);
    const late = await authenticateRows({ store, ring });
    authenticated += rows.authenticated + late.authenticated;
    // Read before the store: a secret that is replayed meanwhile is then counted there, or twice, but not missed.
    const rescued = (await rescuedKids(rescue)).filter((one) => one !== kid);
    const inUse = await store.keysInUse();
    const underOthers = inUse
      .map((one) => (one.kid === kid ? { ...one, secrets: one.outdated } : one))
      .filter(({ secrets }) => secrets > 0);
    const rounds = skipped > 0 ? ROUNDS_WITH_LOCKED_ROWS : ROUNDS;
    const isLeft = count(underOthers) + rescued.length > unopenable.count;
    if (n < rounds && (isLeft || late.authenticated > 0 || behind > 0)) continue;

    const remaining = tally([...underOthers, ...rescued.map((one) => ({ kid: one, secrets: 1 }))]);
    const isLeftUnder = (one: string) => behind > 0 || remaining.some(({ kid }) => kid === null || kid === one);
    const removable = others.filter((one) => !isLeftUnder(one));
    for (const one of removable) await store.removeKeyCheck(one, access.recordSystem('key.retired', { detail: one }));
    if (ring.protection() === 'migrating' && remaining.length === 0 && behind === 0) await advance(LATEST_STAGE);
    const secrets = count(inUse) + rescued.length;
    const { inauthentic } = late;
    const protection = ring.protection();
    const found = { kid, secrets, reencrypted, removable, remaining, rescued: rescued.length, unopenable };
    return { ...found, behind, authenticated, inauthentic, protection, newForm };
  }
}

/** How many secrets the first key has not encrypted, or not in the present form. Reads every secret. Rejects with `StoreError`. */
export async function secretsToReencrypt(store: Pick<Store, 'keysInUse'>, kid: string): Promise<number> {
  const inUse = await store.keysInUse();
  return inUse.reduce((sum, one) => sum + (one.kid === kid ? one.outdated : one.secrets), 0);
}

/** The same secret under the first key, decrypted once to verify it; or why it cannot be decrypted. */
function reencrypt(ring: Vault, encrypted: EncryptedSecret): Ciphertext | VaultError {
  const { table, id, column, boundTo, bound, ciphertext } = encrypted;
  const context = { row: `${CONTEXT_ROWS[table]}/${boundTo}`, column, bound };
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
  const kids = texts.map((text) => /^v[123]\.([^.]+)\./.exec(text)?.[1] ?? null);
  return [
    ...kids,
    ...unreadable.flatMap(({ text }) => [...text.matchAll(/\bv[123]\.([^."]+)\./g)].map(([, kid]) => kid!)),
  ];
}

type Use = KeyRotationResult['remaining'][number];
const tally = (uses: Use[]): Use[] =>
  [...Map.groupBy(uses, ({ kid }) => kid)].map(([kid, all]) => ({ kid, secrets: count(all) }));

const count = (uses: { secrets: number }[]): number => uses.reduce((sum, { secrets }) => sum + secrets, 0);
