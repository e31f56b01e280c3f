// The connections with a usable grant that have a value, however many there are.
import type { Connection } from '../../../domain/connection.ts';
import type { Store } from '../../../ports/index.ts';

const PAGE = 500;

/** Read in pages: what is done with one may end it. Those that have ended meanwhile are not found again. */
export async function* usableConnections(
  store: Pick<Store, 'usableConnectionsByValue'>,
  integration: string,
  key: string,
  value: string,
): AsyncGenerator<Connection> {
  for (let after = '', isLast = false; !isLast; ) {
    const page = await store.usableConnectionsByValue(integration, key, value, { after, limit: PAGE });
    yield* page;
    after = page.at(-1)?.id ?? after;
    isLast = page.length < PAGE;
  }
}
