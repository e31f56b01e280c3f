// Which operations take access away, and how each is done once more where the store has lost it.
import { isDeepStrictEqual } from 'node:util';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Store, Withdrawal, WithdrawingOperation } from '../../ports/index.ts';

export interface Kind<Operation extends WithdrawingOperation> {
  /** The audit entries that it commits, or some of them. */
  entries(args: Parameters<Store[Operation]>): readonly AuditEntry[];
  /** Whether it has changed something, and so committed entries. */
  hasChanged(outcome: Awaited<ReturnType<Store[Operation]>>): boolean;
  /**
   * Only in memory: it has secrets, or says what someone may do. What is repeated from a file only takes access away, whatever
   * has written the file.
   */
  isInMemoryOnly?: true;
  /** What is there before, for a repetition that must not replace what is newer. */
  before?(store: Store, args: Parameters<Store[Operation]>): Promise<unknown>;
  /** Undefined: by the same call. */
  repeat?(store: Store, args: Parameters<Store[Operation]>, before: unknown): Promise<unknown>;
}

const isUsable = (status: string): boolean => status === 'active' || status === 'on_hold';
const callerOf = async (store: Store, id: string) =>
  (await store.callers()).find(({ caller }) => caller.id === id)?.caller;

/** None of those that are repeated by the same call changes anything where it has been done, or is not possible any more. */
export const KINDS: { [Operation in WithdrawingOperation]: Kind<Operation> } = {
  revoke: {
    entries: ([, , , audit]) => [audit],
    hasChanged: (revoked) => revoked !== undefined && !revoked.already,
  },
  hold: { entries: ([, , , audit]) => [audit], hasChanged: (held) => held !== 'unchanged' },
  deauthorize: {
    entries: ([, , , audit]) => [audit],
    hasChanged: (outcome) => outcome === 'deauthorized',
    async repeat(store, [id, generation, ...more]) {
      const stored = await store.connection(id);
      // A lower generation: refreshes before it are lost, too. A higher one: of credentials that its owner gave later.
      if (stored && isUsable(stored.status) && stored.generation <= generation)
        await store.deauthorize(id, stored.generation, ...more);
    },
  },
  deleteCaller: { entries: ([, audit]) => [audit], hasChanged: (outcome) => outcome === 'deleted' },
  deleteCallerKey: { entries: ([, , audit]) => [audit], hasChanged: (outcome) => outcome === 'deleted' },
  deleteIntegration: {
    entries: ([, audit]) => [audit],
    hasChanged: (outcome) => outcome === 'deleted',
    // Its id is a name, which another one may have that is made later, or is in another database.
    isInMemoryOnly: true,
    before: async (store, [id]) => (await store.integration(id))?.createdAt,
    async repeat(store, [id, audit], before) {
      if ((await store.integration(id))?.createdAt === before) await store.deleteIntegration(id, audit);
    },
  },
  deleteWebhookEndpoint: { entries: ([, audit]) => [audit], hasChanged: Boolean },
  endAgentSessions: { entries: ([, , audit]) => [audit], hasChanged: (ended) => ended.length > 0 },
  endConsoleSessions: { entries: ([, audit]) => [audit], hasChanged: (ended) => ended > 0 },
  endPortalSessions: { entries: ([, audit]) => [audit], hasChanged: (ended) => ended > 0 },
  endSession: { entries: ([, , audit]) => [audit], hasChanged: Boolean },
  stopCapture: { entries: ([, , audit]) => [audit], hasChanged: Boolean },
  updateCaller: {
    entries: ([, audit]) => [audit],
    hasChanged: (outcome) => outcome === 'updated',
    isInMemoryOnly: true,
    before: (store, [{ id }]) => callerOf(store, id),
    async repeat(store, [caller, audit], before) {
      if (isDeepStrictEqual(await callerOf(store, caller.id), before)) await store.updateCaller(caller, audit);
    },
  },
  putIntegration: {
    entries: ([, audit]) => [audit],
    hasChanged: (outcome) => outcome !== 'changed',
    isInMemoryOnly: true,
    before: async (store, [{ id }]) => (await store.integration(id))?.version ?? 0,
    async repeat(store, [settings, audit, receivers], before) {
      await store.putIntegration(settings, audit, receivers, { version: before as number });
    },
  },
  putDeclared: {
    entries: ([{ deleted, integrations, callers }]) =>
      [...(deleted?.callers ?? []), ...(deleted?.integrations ?? []), ...integrations, ...callers].map(
        ({ audit }) => audit,
      ),
    hasChanged: (outcome) => outcome === 'stored',
    isInMemoryOnly: true,
  },
  swapSigningKeys: {
    entries: ([, , , audit]) => audit,
    hasChanged: Boolean,
    isInMemoryOnly: true,
  },
};

/** Does it once more. Rejects with `StoreError`. */
export async function repeat(store: Store, { operation, args }: Withdrawal, before: unknown): Promise<void> {
  // The kind and the arguments are of the same operation.
  const kind = KINDS[operation] as Kind<WithdrawingOperation> | undefined;
  const same = store[operation] as (...args: unknown[]) => Promise<unknown>;
  if (kind?.repeat) await kind.repeat(store, args, before);
  else if (kind) await same(...args);
}
