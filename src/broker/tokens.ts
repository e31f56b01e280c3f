// The one function behind every read of a token.
import { type Connection, demandedLife } from '../domain/connection.ts';
import { Refusal, refuse } from '../domain/errors.ts';
import type { Clock, ServedRow, Store, Telemetry, Vault } from '../ports.ts';
import type { Access, Call } from './access.ts';
import { openAccessToken } from './grants.ts';
import type { Refresher } from './refresh.ts';
import { digest } from './secrets.ts';
import type { Served, Serving } from './serving.ts';

export interface OwnerSelector {
  integration: string;
  owner: string;
  /** Undefined: any, as long as there is only one. The empty string: the one without a label. */
  label?: string | undefined;
}

interface Parts {
  store: Pick<Store, 'served' | 'servedByOwner'>;
  vault: Pick<Vault, 'open'>;
  serving: Serving;
  refresher: Refresher;
  access: Access;
  telemetry: Pick<Telemetry, 'cache'>;
  clock: Clock;
}

export type Tokens = ReturnType<typeof createTokens>;

export function createTokens({ store, vault, serving, refresher, access, telemetry, clock }: Parts) {
  /** What is served as it stands, or why it cannot be; undefined when only a refresh can tell. */
  function judge(c: Connection, token: string | null, minTtlMs: number | undefined): Served | Refusal | undefined {
    if (c.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: c.id });
    if (c.status === 'needs_reauth') {
      return refuse({ code: 'reauthorization_required', connection_id: c.id, reason: c.reason ?? 'grant_revoked' });
    }
    if (token === null) return undefined;
    const enough = c.expiresAt === null || c.expiresAt - clock.now() >= demandedLife(c, minTtlMs);
    return enough ? { connection: c, accessToken: token } : undefined;
  }

  /** With enough life: as it is. With too little: refreshed; and whatever comes of that, served until it truly expires. */
  async function usable(c: Connection, token: string | null, minTtlMs: number | undefined): Promise<Served | Refusal> {
    const ready = judge(c, token, minTtlMs);
    if (ready !== undefined) return ready;
    const stillGood = () =>
      token !== null && c.expiresAt !== null && c.expiresAt > clock.now()
        ? { connection: c, accessToken: token }
        : undefined;
    try {
      const refreshed = await refresher.refresh(c.id);
      return refreshed instanceof Refusal && !isFinal(refreshed) ? (stillGood() ?? refreshed) : refreshed;
    } catch (error) {
      // The store failed: that is no reason to withhold what is in memory and valid.
      const good = stillGood();
      if (good) return good;
      throw error;
    }
  }

  const openRow = ({ connection, accessToken }: ServedRow): { connection: Connection; accessToken: string | null } => {
    const token = openAccessToken(vault, connection.id, accessToken);
    if (token !== null && connection.status === 'active') serving.put({ connection, accessToken: token });
    return { connection, accessToken: token };
  };

  /** From the cache, or one row of the store. */
  async function find(id: string): Promise<{ connection: Connection; accessToken: string | null } | undefined> {
    const cached = serving.get(id);
    telemetry.cache(cached ? 'hit' : 'miss');
    if (cached) return cached;
    const row = await store.served(id);
    return row && openRow(row);
  }

  function authorised(call: Call, c: Connection): Refusal | undefined {
    const denied = access.denied(call, 'token', c.integration, c.owner, c.id);
    if (denied) return denied;
    access.noteRead(call, 'token.read', { integration: c.integration, owner: c.owner, connectionId: c.id });
    return undefined;
  }

  async function byId(call: Call, id: string, minTtlMs?: number): Promise<Served | Refusal> {
    const found = await find(id);
    if (!found) return refuse({ code: 'not_found', what: 'connection', id });
    return authorised(call, found.connection) ?? usable(found.connection, found.accessToken, minTtlMs);
  }

  return {
    /** `minTtlMs`: what the token must still live; undefined: a minute, or half of a shorter life. */
    byId,

    async byOwner(
      call: Call,
      { integration, owner, label }: OwnerSelector,
      minTtlMs?: number,
    ): Promise<Served | Refusal> {
      const denied = access.denied(call, 'token', integration, owner);
      if (denied) return denied;
      let candidates = serving.ofOwner(integration, owner);
      if (!candidates) {
        const ticket = serving.ownerTicket();
        const rows = await store.servedByOwner(integration, owner, undefined);
        candidates = rows.map((row) => openRow(row).connection);
        serving.putOwner(ticket, integration, owner, candidates);
      }
      const chosen = choose(candidates, { integration, owner, label });
      return chosen instanceof Refusal ? chosen : byId(call, chosen, minTtlMs);
    },

    /**
     * A refresh that the caller asks for. With the token that an API rejected it compares and swaps: when another one is
     * stored by now, that one is the answer, without a call to the provider.
     */
    async refresh(call: Call, id: string, rejectedToken: string | undefined): Promise<Served | Refusal> {
      const row = await store.served(id);
      if (!row) return refuse({ code: 'not_found', what: 'connection', id });
      const found = openRow(row);
      const denied = authorised(call, found.connection);
      if (denied) return denied;
      const { connection, accessToken } = found;
      const swapped =
        rejectedToken !== undefined && accessToken !== null && digest(rejectedToken) !== digest(accessToken);
      const alive = connection.expiresAt === null || connection.expiresAt > clock.now();
      if (swapped && alive && connection.status === 'active') return { connection, accessToken };
      return refresher.refresh(id);
    },
  };
}

/** The grant is gone, and its token with it; everything else may pass while the token lives. */
function isFinal({ fault }: Refusal): boolean {
  if (fault.code === 'reauthorization_required') return fault.reason !== 'not_refreshable';
  return fault.code === 'connection_revoked' || fault.code === 'not_found';
}

/** One connection of the owner's, by label; never a guess. */
function choose(all: readonly Connection[], { integration, owner, label }: OwnerSelector): string | Refusal {
  const fitting = label === undefined ? all : all.filter((c) => c.label === label);
  const live = fitting.filter((c) => c.status !== 'revoked');
  if (live.length > 1) {
    const candidates = live.map((c) => ({ connection_id: c.id, label: c.label === '' ? null : c.label }));
    return refuse({ code: 'ambiguous_connection', candidates });
  }
  const chosen = live[0] ?? fitting.at(-1);
  if (chosen) return chosen.id;
  const which = label === undefined ? owner : `${owner} (label "${label}")`;
  return refuse({ code: 'not_found', what: 'connection', id: `${which} at ${integration}` });
}
