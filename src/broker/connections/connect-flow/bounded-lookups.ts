// Look-ups that anyone can cause: a connect link, a `state` or the id of a session, made up or not. They wait for each other, so
// that however many strangers ask, callers find the database's connections free.
import { createLane } from '../../../domain/lane.ts';
import { type Store, StoreError } from '../../../ports/index.ts';

type Lookups = Pick<Store, 'sessionBySecret' | 'session' | 'flowOf' | 'consumeFlow'>;

export interface BoundedLookups {
  /** For a page that anyone can ask for by the id of a session. */
  sessionOfPage: Store['session'];
}

/** Fewer than half of the connections of a PostgreSQL pool of ten. */
const LOOKUPS = { atOnce: 4, waiting: 200 };

/** The same store; these reject with `StoreError` where too many wait. A flow that has begun reads its session without them. */
export function withBoundedLookups<S extends Lookups>(store: S): S & BoundedLookups {
  const lane = createLane(LOOKUPS);
  async function bounded<T>(work: () => Promise<T>): Promise<T> {
    const result = await lane.run(work);
    if (result === 'full') throw new StoreError('too many connect links are being looked up');
    return result;
  }
  return {
    ...store,
    sessionBySecret: (digest) => bounded(() => store.sessionBySecret(digest)),
    sessionOfPage: (id) => bounded(() => store.session(id)),
    flowOf: (state) => bounded(() => store.flowOf(state)),
    consumeFlow: (...flow) => bounded(() => store.consumeFlow(...flow)),
  };
}
