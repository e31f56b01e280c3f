// The one function behind every read of a token.
import { allows, type Extent } from '../../domain/caller.ts';
import { type Connection, requiredTtlMs } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { Clock, ServedRow, Store, Telemetry, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { type ReadTicket, type ServedToken, type TokenCache, toServedToken } from '../cache/index.ts';
import type { Refresher } from '../refresh/index.ts';
import { refusalOf } from '../refresh/index.ts';
import { decryptAccessToken, digest } from '../secrets/index.ts';

export interface OwnerSelector {
  integration: string;
  owner: string;
  /** Undefined: any, as long as there is only one. The empty string: the one without a label. */
  label?: string | undefined;
}

interface Found {
  connection: Connection;
  /** Null: no token is there. */
  served: ServedToken | null;
}

interface Parts {
  store: Pick<Store, 'servedRow' | 'servedRowsByOwner'>;
  vault: Pick<Vault, 'decrypt'>;
  tokenCache: TokenCache;
  refresher: Refresher;
  access: Access;
  telemetry: Pick<Telemetry, 'cache'>;
  clock: Clock;
}

export type TokenReader = ReturnType<typeof createTokenReader>;

export function createTokenReader({ store, vault, tokenCache, refresher, access, telemetry, clock }: Parts) {
  /** What is served as it stands, or why it cannot be; undefined when only a refresh can tell. */
  function judge({ connection, served }: Found, minTtlMs: number | undefined): ServedToken | Refusal | undefined {
    const refused = refusalOf(connection);
    if (refused || served === null) return refused;
    return isGood(served, requiredTtlMs(connection, minTtlMs)) ? served : undefined;
  }

  const lives = (served: ServedToken, ms = 1) => served.until - clock.monotonic() >= ms;
  const isGood = (served: ServedToken, ms = 1) => !served.ofUnknownAge && lives(served, ms);

  /** With enough life: as it is. With too little: refreshed; and whatever comes of that, served until it truly expires. */
  async function usable(found: Found, minTtlMs: number | undefined): Promise<ServedToken | Refusal> {
    const ready = judge(found, minTtlMs);
    if (ready !== undefined) return ready;
    const { connection, served } = found;
    const stillGood = () => (served && lives(served) ? served : undefined);
    try {
      const refreshed = await refresher.refresh(connection);
      return refreshed instanceof Refusal && !isFinal(refreshed) ? (stillGood() ?? refreshed) : refreshed;
    } catch (error) {
      // The store failed: that is no reason to withhold what is in memory and valid.
      const good = stillGood();
      if (good) return good;
      throw error;
    }
  }

  const openRow = ({ connection, accessToken }: ServedRow, ticket: ReadTicket): Found => {
    const token = decryptAccessToken(vault, connection.id, accessToken);
    const served = token === null ? null : toServedToken(connection, token, clock);
    if (served && connection.status === 'active') tokenCache.put(served, ticket);
    return { connection, served };
  };

  /** One row of the store. */
  async function read(id: string): Promise<Found | undefined> {
    const ticket = tokenCache.ticket();
    const row = await store.servedRow(id);
    return row && openRow(row, ticket);
  }

  /** From the cache, or from the store. */
  async function find(id: string): Promise<Found | undefined> {
    const cached = tokenCache.get(id);
    telemetry.cache(cached ? 'hit' : 'miss');
    return cached ? { connection: cached.connection, served: cached } : read(id);
  }

  /** Every connection of the owner there that may be meant. */
  async function candidates({ integration, owner, label }: OwnerSelector): Promise<readonly Connection[]> {
    let all = tokenCache.ofOwner(integration, owner);
    if (!all) {
      const ticket = tokenCache.ticket();
      const rows = await store.servedRowsByOwner(integration, owner, undefined);
      all = rows.map((row) => openRow(row, ticket).connection);
      tokenCache.putOwner(ticket, integration, owner, all);
    }
    if (label === undefined || all.some((c) => c.label === label)) return all;
    // Of an owner with very many, only the newest are known.
    const ticket = tokenCache.ticket();
    const rows = await store.servedRowsByOwner(integration, owner, label);
    return rows.map((row) => openRow(row, ticket).connection);
  }

  function authorised(call: Call, c: Connection, minTtlMs?: number): Refusal | undefined {
    const denied = access.denied(call, 'token', c.integration, c.owner, c.id, { scopes: c.scopes, minTtlMs });
    if (denied) return denied;
    access.noteRead(call, 'token.read', { integration: c.integration, owner: c.owner, connectionId: c.id });
    return undefined;
  }

  async function byId(call: Call, id: string, minTtlMs?: number): Promise<ServedToken | Refusal> {
    const found = await find(id);
    if (!found) return refuse({ code: 'not_found', what: 'connection', id });
    return authorised(call, found.connection, minTtlMs) ?? usable(found, minTtlMs);
  }

  /** The connection that is meant, as far as memory tells. */
  function remembered(selector: string | OwnerSelector): ServedToken | undefined {
    if (typeof selector === 'string') return tokenCache.get(selector);
    const all = tokenCache.ofOwner(selector.integration, selector.owner);
    const chosen = all && choose(all, selector);
    return typeof chosen === 'string' ? tokenCache.get(chosen) : undefined;
  }

  const isAllowed = ({ principal }: Call, { integration, owner }: OwnerSelector, extent?: Extent): boolean =>
    allows(principal.caller.permissions, 'token', integration, owner, extent);

  /** Allowed, and with life enough. */
  const isPlain = (call: Call, served: ServedToken, minTtlMs: number | undefined): boolean =>
    isAllowed(call, served.connection, { scopes: served.connection.scopes, minTtlMs }) &&
    isGood(served, requiredTtlMs(served.connection, minTtlMs));

  function noted(call: Call, served: ServedToken): ServedToken {
    const { id: connectionId, integration, owner } = served.connection;
    access.noteRead(call, 'token.read', { integration, owner, connectionId });
    return served;
  }

  return {
    /**
     * The read as it nearly always goes: from memory, at once. Undefined when it is not that simple (a refusal, too little
     * life, nothing cached); nothing has happened then, and `byId` or `byOwner` does the whole of it.
     */
    warm(call: Call, selector: string | OwnerSelector, minTtlMs: number | undefined): ServedToken | undefined {
      const served = remembered(selector);
      if (!served || !isPlain(call, served, minTtlMs)) return undefined;
      telemetry.cache('hit');
      return noted(call, served);
    },

    /** The same with a look at the store, for what is not in memory. */
    async cold(
      call: Call,
      selector: string | OwnerSelector,
      minTtlMs: number | undefined,
    ): Promise<ServedToken | undefined> {
      if (remembered(selector) || (typeof selector === 'object' && !isAllowed(call, selector))) return undefined;
      const id = typeof selector === 'string' ? selector : choose(await candidates(selector), selector);
      // Of an owner, the rows have just been opened.
      const served = typeof id === 'string' ? (tokenCache.get(id) ?? (await read(id))?.served) : undefined;
      if (!served || refusalOf(served.connection) || !isPlain(call, served, minTtlMs)) return undefined;
      telemetry.cache('miss');
      return noted(call, served);
    },

    /** For nobody: what the store has now comes into memory. */
    reread: read,

    /** `minTtlMs`: what the token must still live; undefined: a minute, or half of a shorter life. */
    byId,

    async byOwner(call: Call, selector: OwnerSelector, minTtlMs?: number): Promise<ServedToken | Refusal> {
      const denied = access.denied(call, 'token', selector.integration, selector.owner);
      if (denied) return denied;
      const chosen = choose(await candidates(selector), selector);
      return chosen instanceof Refusal ? chosen : byId(call, chosen, minTtlMs);
    },

    /**
     * A refresh that the caller asks for. With the token that an API rejected it compares and swaps: when another one is
     * stored by now, that one is the answer, without a call to the provider.
     */
    async refresh(call: Call, id: string, rejectedToken: string | undefined): Promise<ServedToken | Refusal> {
      const found = await read(id);
      if (!found) return refuse({ code: 'not_found', what: 'connection', id });
      const denied = authorised(call, found.connection);
      if (denied) return denied;
      const { connection, served } = found;
      const swapped =
        rejectedToken !== undefined && served !== null && digest(rejectedToken) !== digest(served.accessToken);
      if (swapped && isGood(served) && connection.status === 'active') return served;
      return refresher.refresh(connection);
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
  // The newest tombstone, where nothing lives.
  const chosen = live[0] ?? fitting[0];
  if (chosen) return chosen.id;
  const which = label === undefined ? owner : `${owner} (label "${label}")`;
  return refuse({ code: 'not_found', what: 'connection', id: `${which} at ${integration}` });
}
