// What operators want to know of the deployment as a whole: its keys, its replicas, its audit chain, and what waits in its outboxes.
// Nothing here waits for a count of all rows.
import type { AuditSeal } from '../../../domain/audit-seal.ts';
import type { Refusal } from '../../../domain/errors.ts';
import { type SigningKey, type SigningKeyState, stateOf } from '../../../domain/signing-key.ts';
import { SIGNING_KEY_PUBLISHED_MS } from '../../../domain/time-limits.ts';
import type { Clock, MetricsState, RowProtection, Store, Vault } from '../../../ports/index.ts';
import { type Access, type Call, endFault } from '../../audit/index.ts';
import type { KeyUsage } from './key-usage.ts';

export interface SystemState {
  version: string;
  /** What the database is called. */
  database: string;
  changeFeed: 'pushed' | 'polled';
  metrics: MetricsState;
  /** Processes that use the database, this one included. */
  replicas: number;
  keys: {
    kid: string;
    /** It encrypts from now on; the others only decrypt. */
    encrypts: boolean;
    /** In the ring of this process. One that is not has encrypted something, and can be removed from nowhere. */
    inRing: boolean;
    /** The database has a text that it has encrypted: it may protect secrets still. */
    isProven: boolean;
    /** Secrets that it encrypts; null: not counted yet. */
    secrets: number | null;
  }[];
  /** When the secrets were counted; null: not yet. */
  keysCountedAt: number | null;
  protection: RowProtection;
  /** Of deliveries: those that sign, and those that are still published. */
  signingKeys: Pick<SigningKey, 'id' | 'createdAt' | 'retiredAt'>[];
  /** Of JWTs: all that are stored. */
  jwtKeys: (Pick<SigningKey, 'id' | 'createdAt' | 'retiredAt'> & { algorithm: string; state: SigningKeyState })[];
  /** `last` null: no audit entry is sealed yet. `fault`: what is wrong at its end. */
  auditChain: { last: Pick<AuditSeal, 'id' | 'sealedAt' | 'entries'> | null; fault: string | null };
  /** Integrations where revocations wait to be told to the provider, and are due. */
  dueRevocations: string[];
}

/** For callers with `admin:read` on all integrations. Rejects with `StoreError`. */
export type ReadSystem = (call: Call) => Promise<SystemState | Refusal>;

interface Parts {
  store: Pick<Store, 'keyChecks' | 'countProcesses' | 'signingKeys' | 'auditChainEnd' | 'dueRevocations' | 'traits'>;
  vault: Pick<Vault, 'decrypt' | 'protection'> & { readonly kids: readonly string[]; readonly encryptionKid: string };
  state: () => Promise<MetricsState>;
  keyUsage: KeyUsage;
  access: Pick<Access, 'denied'>;
  clock: Pick<Clock, 'now'>;
  version: string;
  database: string;
}

export function systemReader({ store, vault, state, keyUsage, access, clock, version, database }: Parts): ReadSystem {
  return async (call) => {
    const denied = access.denied(call, 'admin:read', '*', '*');
    if (denied) return denied;
    const now = clock.now();
    const [metrics, checks, counted, replicas, webhookKeys, jwtKeys, end, dueRevocations] = await Promise.all([
      state(),
      store.keyChecks(),
      keyUsage.counted(),
      store.countProcesses(),
      store.signingKeys('webhook'),
      store.signingKeys('jwt'),
      store.auditChainEnd(),
      store.dueRevocations(now),
    ]);
    const proven = new Set(checks.map(({ kid }) => kid));
    const uses = new Map(counted?.uses.map(({ kid, secrets }) => [kid, secrets]));
    const kids = [...new Set([...vault.kids, ...proven])];
    const { last } = end;
    return {
      ...{ version, database, metrics, replicas, dueRevocations },
      changeFeed: store.traits.changeFeed,
      keys: kids.map((kid) => ({
        kid,
        encrypts: kid === vault.encryptionKid,
        inRing: vault.kids.includes(kid),
        isProven: proven.has(kid),
        secrets: counted ? (uses.get(kid) ?? 0) : null,
      })),
      keysCountedAt: counted?.at ?? null,
      protection: vault.protection(),
      signingKeys: webhookKeys
        .filter(({ retiredAt }) => retiredAt === null || retiredAt >= now - SIGNING_KEY_PUBLISHED_MS)
        .map(({ id, createdAt, retiredAt }) => ({ id, createdAt, retiredAt })),
      jwtKeys: jwtKeys.map((key) => ({
        ...{ id: key.id, createdAt: key.createdAt, retiredAt: key.retiredAt },
        algorithm: String(key.publicKey.alg),
        state: stateOf(key),
      })),
      auditChain: {
        last: last ? { id: last.id, sealedAt: last.sealedAt, entries: last.entries } : null,
        fault: endFault(vault, end) ?? null,
      },
    };
  };
}
