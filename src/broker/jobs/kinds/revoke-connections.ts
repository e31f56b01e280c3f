// The job `connections.revoke`: all connections of an integration, of an owner, or of both.
import { Refusal, refuse } from '../../../domain/errors.ts';
import type { Store } from '../../../ports/index.ts';
import type { Revoker } from '../../connections/index.ts';
import type { JobWork } from './job-work.ts';

/** Of an owner, or of both, no more are counted. */
const MAX_COUNTED = 10_000;
const PAGE = 500;

interface Parts {
  store: Pick<Store, 'countConnections' | 'liveConnections'>;
  revoker: Pick<Revoker, 'mayRevokeAll' | 'revokeSome'>;
}

type Which = { integration?: string | undefined; owner?: string | undefined };

export function createRevokeWork({ store, revoker }: Parts): JobWork<'connections.revoke'> {
  /** Null: they are too many to be counted. */
  async function count(which: Which): Promise<number | null> {
    if (which.owner === undefined)
      return (await store.countConnections())
        .filter(({ integration, status }) => integration === which.integration && status !== 'revoked')
        .reduce((sum, one) => sum + one.count, 0);
    let total = 0;
    for (let after: string | undefined; ; ) {
      const { data, next } = await store.liveConnections(which, { limit: PAGE, after });
      total += data.length;
      if (next === null) return total;
      if (total >= MAX_COUNTED) return null;
      after = next;
    }
  }

  return {
    async prepare(call, { integration, owner }) {
      if (integration === undefined && owner === undefined)
        return refuse({ code: 'invalid_request', detail: 'Name an integration, an owner, or both.' });
      const refused = revoker.mayRevokeAll(call, { integration, owner });
      if (refused) return refused;
      const input = { kind: 'connections.revoke', integration: integration ?? null, owner: owner ?? null } as const;
      return { input, total: await count({ integration, owner }) };
    },
    canDo: () => true,
    async batch(call, { input, position }) {
      const { integration, owner } = input;
      const which = { integration: integration ?? undefined, owner: owner ?? undefined };
      const revoked = await revoker.revokeSome(call, which, position ?? undefined);
      if (revoked instanceof Refusal) return revoked;
      const { pending, unsupported, next } = revoked;
      return { done: pending + unsupported, counts: { pending, unsupported }, next };
    },
  };
}
