// Authenticates every row that has no code of the first key yet: what is there now is taken as genuine where the database
// does not require codes yet, and has to have a code of another key of the ring where it does.
import type { AuthenticatedRow, ReauthenticatedTable, RowMac, Store, Vault } from '../../../ports/index.ts';
import { callerKeyRow, callerRow, integrationRow, jobRow, sessionRow } from '../../secrets/index.ts';

/** More are never open: a caller has a few, and they end. */
const MAX_JOBS = 10_000;
/** Sessions live for minutes: more are never open. */
const MAX_SESSIONS = 10_000;
const PAGE = 500;

interface Parts {
  store: Pick<Store, 'callers' | 'integrations' | 'sessionsToAuthenticate' | 'openJobs' | 'replaceMac'>;
  ring: Pick<Vault, 'authenticate' | 'isAuthentic'> & { readonly encryptionKid: string };
}

interface Candidate {
  /** As the store knows it. */
  id: string;
  row: AuthenticatedRow<ReauthenticatedTable>;
  mac: string | null;
}

/** A row that a broker changes meanwhile is left to it: it has a code then. Rejects with `StoreError`. */
export async function authenticateRows({
  store,
  ring,
}: Parts): Promise<{ authenticated: number; inauthentic: Pick<RowMac, 'table' | 'id'>[] }> {
  const inauthentic: Pick<RowMac, 'table' | 'id'>[] = [];
  let authenticated = 0;
  for (const { id, row, mac } of await candidates()) {
    const { table } = row;
    if (!ring.isAuthentic(row, mac)) inauthentic.push({ table, id });
    else if (!isCurrent(mac) && (await store.replaceMac({ table, id, mac: ring.authenticate(row) }, mac)))
      authenticated++;
  }
  return { authenticated, inauthentic };

  function isCurrent(mac: string | null): boolean {
    return mac?.startsWith(`m1.${ring.encryptionKid}.`) === true;
  }

  async function candidates(): Promise<Candidate[]> {
    const found: Candidate[] = [];
    for (const { caller, keys } of await store.callers()) {
      found.push({ id: caller.id, row: callerRow(caller), mac: caller.mac ?? null });
      for (const key of keys) found.push({ id: key.id, row: callerKeyRow(key), mac: key.mac ?? null });
    }
    for (let after: string | undefined; ; ) {
      const page = await store.integrations({ limit: PAGE, after });
      for (const one of page.data) found.push({ id: one.id, row: integrationRow(one), mac: one.mac ?? null });
      if (page.next === null) break;
      after = page.next;
    }
    for (const session of await store.sessionsToAuthenticate(ring.encryptionKid, MAX_SESSIONS))
      found.push({ id: session.id, row: sessionRow(session), mac: session.mac ?? null });
    for (const job of await store.openJobs(MAX_JOBS))
      found.push({ id: job.id, row: jobRow(job), mac: job.mac ?? null });
    return found;
  }
}
