// The rotation of the keys for JWTs: a new key is published, signs after verifiers had time to see it, and is retired by the next
// one. Each step is one compare and swap in the store, so that replicas that take it at once take it once, and a process that is
// killed between two steps leaves the next one to any other.
import type { AuditEntry } from '../../../domain/audit.ts';
import {
  nextIn,
  type SigningAlgorithm,
  type SigningKey,
  signingIn,
  stateOf,
  withKey,
  withNextSigning,
  withoutForgotten,
} from '../../../domain/signing-key.ts';
import { DAY_MS } from '../../../domain/time-limits.ts';
import type { Clock, SigningKeyStore, Vault } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { CachedKeys } from './cached-keys.ts';
import { newSigningKey } from './key-material.ts';

/** Makes the audit entry of a step. */
export type RecordStep = (
  action: 'signing_key.added' | 'signing_key.activated' | 'signing_key.withdrawn',
  id: string,
) => AuditEntry;

export interface Rotation {
  /** The keys with one that signs, which is made if there is none. */
  first(): Promise<readonly SigningKey[]>;
  /** Publishes a new key, which signs later; if one is published already, it stays the next one. Returns all keys. */
  publishNext(record: RecordStep): Promise<readonly SigningKey[]>;
  /**
   * A compromised key is deleted at once: it neither signs nor is published. If it was the one that signs, the next one signs at
   * once, or a new one. Undefined: there is no such key.
   */
  withdraw(id: string, record: RecordStep): Promise<readonly SigningKey[] | undefined>;
  /** What time has come for: the next key signs, a new one is published, old ones are deleted. */
  advance(): Promise<void>;
  /**
   * Publishes a key of the configured algorithm, if the newest one has another. For a process that has started: of two that are
   * configured differently, the later one decides. False: another key is the next one, so it has to be tried again later.
   */
  adoptAlgorithm(): Promise<boolean>;
}

export interface RotationParts {
  store: SigningKeyStore;
  vault: Pick<Vault, 'encrypt'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Pick<Clock, 'now'>;
  algorithm: SigningAlgorithm;
  /** After so many days of signing, the next key is published. */
  days: number;
}

/** What becomes of the keys, and the entries of it. Undefined: they stay. */
type Step = { next: SigningKey[]; audit: AuditEntry[] } | undefined;

/** Each of them means that another process has changed the keys meanwhile. */
const ATTEMPTS = 10;

export function createRotation(parts: RotationParts, cache: () => Pick<CachedKeys, 'take' | 'isNextDue'>): Rotation {
  const { store, access, clock, algorithm, days } = parts;
  const bySystem: RecordStep = (action, id) => access.recordSystem(action, { detail: id });
  const newKey = () => newSigningKey(parts, 'jwt', algorithm);

  async function change(decide: (keys: readonly SigningKey[]) => Step | Promise<Step>): Promise<readonly SigningKey[]> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const keys = await store.signingKeys('jwt');
      const step = await decide(keys);
      if (step && !(await store.swapSigningKeys('jwt', keys, step.next, step.audit))) continue;
      const stored = step?.next ?? keys;
      cache().take(stored);
      return stored;
    }
    throw new Error('the signing keys change all the time');
  }

  async function added(keys: readonly SigningKey[], record: RecordStep): Promise<Step> {
    const key = await newKey();
    return { next: withKey(keys, key), audit: [record('signing_key.added', key.id)] };
  }

  function activated(keys: readonly SigningKey[], record: RecordStep): Step {
    const next = nextIn(keys);
    if (!next) return undefined;
    return { next: withNextSigning(keys, clock.now()), audit: [record('signing_key.activated', next.id)] };
  }

  const first = () => change((keys) => (signingIn(keys) ? undefined : added(keys, bySystem)));

  const publishNext = (record: RecordStep) => change((keys) => (nextIn(keys) ? undefined : added(keys, record)));

  /** When it began to sign, the clock may have been ahead: then that is no reason to wait for ever. */
  const isOld = ({ signingSince }: SigningKey) => Math.abs(clock.now() - (signingSince ?? 0)) >= days * DAY_MS;

  return {
    first,
    publishNext,

    async withdraw(id, record) {
      let isThere = false;
      const stored = await change(async (keys) => {
        const found = keys.find((key) => key.id === id);
        isThere = found !== undefined;
        if (!found) return undefined;
        const others = keys.filter((key) => key !== found);
        const audit = [record('signing_key.withdrawn', id)];
        if (stateOf(found) !== 'signing') return { next: others, audit };
        const replaced = activated(others, record) ?? (await added(others, record));
        return replaced && { next: replaced.next, audit: [...audit, ...replaced.audit] };
      });
      return isThere ? stored : undefined;
    },

    async advance() {
      const stored = await change((keys) => {
        if (cache().isNextDue(keys)) return activated(keys, bySystem);
        const kept = withoutForgotten(keys, clock.now());
        return kept.length < keys.length ? { next: kept, audit: [] } : undefined;
      });
      const current = signingIn(stored);
      if (current && isOld(current)) await publishNext(bySystem);
    },

    async adoptAlgorithm() {
      const isAdopted = (keys: readonly SigningKey[]) => {
        const newest = nextIn(keys) ?? signingIn(keys);
        return newest === undefined || newest.publicKey.alg === algorithm;
      };
      return isAdopted(await store.signingKeys('jwt')) || isAdopted(await publishNext(bySystem));
    },
  };
}
