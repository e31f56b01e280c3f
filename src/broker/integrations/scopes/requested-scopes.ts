// The scopes that each integration asks for, in memory, so that a token read tells what is missing without a query.
import type { Store } from '../../../ports/index.ts';

export interface RequestedScopes {
  /** The same list until the integration changes; undefined: not in memory. */
  known(integration: string): readonly string[] | undefined;
  /** Empty where there is no such integration, and while the store cannot be asked: a token is served nevertheless. Never rejects. */
  find(integration: string): Promise<readonly string[]>;
  /** An integration has changed; undefined: any may have. */
  changed(id: string | undefined): void;
}

const NONE: readonly string[] = [];

export function createRequestedScopes({ store }: { store: Pick<Store, 'integration'> }): RequestedScopes {
  const scopes = new Map<string, readonly string[]>();
  /** May have changed: they are told until they have been read again, since the store may be away. */
  const stale = new Set<string>();
  /** What was read before a change is not kept. */
  let changes = 0;

  async function read(integration: string): Promise<readonly string[] | undefined> {
    const before = changes;
    stale.delete(integration);
    const found = (await store.integration(integration).catch(() => undefined))?.scopes;
    if (found && before === changes) scopes.set(integration, found);
    return found;
  }

  return {
    known(integration) {
      if (stale.has(integration)) void read(integration);
      return scopes.get(integration);
    },
    find: async (integration) => scopes.get(integration) ?? (await read(integration)) ?? NONE,
    changed(id) {
      changes++;
      if (id !== undefined) scopes.delete(id);
      else for (const one of scopes.keys()) stale.add(one);
    },
  };
}
