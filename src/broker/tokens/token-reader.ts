// Reading a token: the one path behind every token that is served.
import type { AuditAction } from '../../domain/audit-actions.ts';
import { type Action, allows, type ProxiedCall } from '../../domain/caller.ts';
import { type Connection, requiredTtlMs } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { REJECTED_TOKEN_RETRY_MS } from '../../domain/time-limits.ts';
import type { Clock, ResourceChallenge, ServedRow, Store, Telemetry, Vault } from '../../ports/index.ts';
import { type Access, type Call, sees } from '../audit/index.ts';
import { type ReadTicket, type ServedToken, type TokenCache, toServedToken } from '../cache/index.ts';
import { type Refresher, refusalOf } from '../refresh/index.ts';
import type { Challenges } from '../resources/index.ts';
import { decryptAccessToken, digest } from '../secrets/index.ts';
import { createForcedRefreshes } from './refreshing/forced-refreshes.ts';
import { choose, connectionNotFound, isAbsent, type OwnerSelector, ownerNotFound, type Selector } from './selection.ts';

/** A connection as it was read. */
export interface FoundToken {
  connection: Connection;
  /** Null: no token is stored. */
  served: ServedToken | null;
}

/** What a token is read for: what it takes, and what is noted. */
export interface TokenUse {
  action: Action;
  /** Null: it is noted elsewhere. */
  audit: AuditAction | null;
  proxied?: ProxiedCall | undefined;
}

/** Read to be handed out. */
const HANDED_OUT: TokenUse = { action: 'token', audit: 'token.read' };

type Result = ServedToken | Refusal;

export interface TokenReader {
  /**
   * A token that lives for at least `minTtlMs` (undefined: a minute, or half of a shorter life), refreshed if it has to be.
   * While the refresh fails, the stored token is served until it expires. Each call is authorised and audited once, and
   * counted once as a cache hit or miss. A token that a refresh brought is served if the caller may have its scopes.
   *
   * Synchronous when memory has the answer: the token, or a refusal. Otherwise a promise: it reads the store, or waits for a
   * refresh. It rejects with `StoreError` when the store fails and there is no valid token.
   *
   * `use`: without it, the caller is given the token, which takes the action `token`.
   */
  read(call: Call, selector: Selector, minTtlMs?: number, use?: TokenUse): Result | Promise<Result>;

  /**
   * Refreshes on demand. `rejectedToken`: the token that an API rejected, which is never the result. When another one is
   * stored by now, that one is returned without a call to the provider; when there is no other one even after a refresh, the
   * refusal is `provider_unavailable`. For a caller with `admin` on this connection, the provider is asked although it asked
   * to wait, or its circuit is open. `rate_limited` when its permissions cover no further refresh now. `challenge`: what the
   * API answered; where its resource has another authorization server by now, the refusal is `reauthorization_required`. Rejects
   * with `StoreError`.
   */
  refresh(call: Call, id: string, why: RefreshCause, use?: TokenUse): Promise<Result>;

  /** Reads the store's row into the cache, for no caller. Undefined: there is no such connection. Rejects with `StoreError`. */
  readRow(id: string): Promise<FoundToken | undefined>;
}

/** Why a caller demands a refresh. */
export interface RefreshCause {
  rejectedToken?: string | undefined;
  challenge?: ResourceChallenge | undefined;
}

export interface TokenReaderParts {
  store: Pick<Store, 'servedRow' | 'servedRowsByOwner' | 'integration' | 'takeFromBucket'>;
  vault: Pick<Vault, 'decrypt'>;
  tokenCache: TokenCache;
  refresher: Refresher;
  challenges: Pick<Challenges, 'check'>;
  access: Access;
  telemetry: Pick<Telemetry, 'cache'>;
  clock: Clock;
}

export function createTokenReader({
  store,
  vault,
  tokenCache,
  refresher,
  challenges,
  access,
  telemetry,
  clock,
}: TokenReaderParts): TokenReader {
  /** Integrations that were found: owners who are not connected are asked for again and again. */
  const existing = new Set<string>();
  const countForced = createForcedRefreshes({ store });
  const lives = (served: ServedToken, ms = 1) => served.until - clock.monotonic() >= ms;
  /** By the wall clock too, which may know of a pause that the monotonic clock has missed: then a newer one is requested. */
  const isGood = (served: ServedToken, ms = 1) =>
    !served.ofUnknownAge &&
    lives(served, ms) &&
    (served.connection.expiresAt === null || served.connection.expiresAt - clock.now() >= ms);

  /** Authorises and audits the read, then serves the token as it is, or refreshed. `isFresh`: the row was read a moment ago. */
  function serve(
    call: Call,
    connection: Connection,
    served: ServedToken | null,
    minTtlMs: number | undefined,
    use: TokenUse,
    isFresh = false,
  ): Result | Promise<Result> {
    const refused = authorise(call, connection, use, minTtlMs) ?? refusalOf(connection);
    if (refused) return refused;
    if (served && isGood(served, requiredTtlMs(connection, minTtlMs))) return served;
    const isEarly = served !== null && isGood(served, requiredTtlMs(connection, undefined));
    const renewed = isEarly ? renewEarly(call, connection, served, use, isFresh) : renew(connection, served, isFresh);
    return renewed.then((result) => withinScopes(call, result, use));
  }

  /** The token would do for others: this refresh is forced by who asks for a longer life. Beyond its limit, it gets that one. */
  async function renewEarly(
    call: Call,
    connection: Connection,
    served: ServedToken,
    use: TokenUse,
    isFresh: boolean,
  ): Promise<Result> {
    return (await countForced(call, connection, use.action)) ? served : renew(connection, served, isFresh);
  }

  /** A refresh may have brought more scopes than the caller was authorised for: what is served is authorised too. */
  function withinScopes(call: Call, result: Result, { action, proxied }: TokenUse): Result {
    if (result instanceof Refusal) return result;
    const { integration, owner, id, scopes } = result.connection;
    return access.denied(call, action, integration, owner, id, { scopes, proxied }) ?? result;
  }

  function authorise(call: Call, c: Connection, use: TokenUse, minTtlMs?: number): Refusal | undefined {
    const { action, audit, proxied } = use;
    const denied = access.denied(call, action, c.integration, c.owner, c.id, { scopes: c.scopes, minTtlMs, proxied });
    if (denied) return denied;
    if (audit) access.noteRead(call, audit, { integration: c.integration, owner: c.owner, connectionId: c.id });
    return undefined;
  }

  /** Refreshes; when that fails, serves what there is as long as it lives. */
  async function renew(connection: Connection, served: ServedToken | null, isFresh: boolean): Promise<Result> {
    const stillGood = () => (served && lives(served) ? served : undefined);
    try {
      const result = await refresher.refresh(connection, isFresh ? { due: connection } : {});
      return result instanceof Refusal && !isFinal(result) ? (stillGood() ?? result) : result;
    } catch (error) {
      // A store failure is no reason to withhold a valid token that is in memory.
      const good = stillGood();
      if (good) return good;
      throw error;
    }
  }

  function readById(call: Call, id: string, minTtlMs: number | undefined, use: TokenUse): Result | Promise<Result> {
    const cached = tokenCache.get(id);
    telemetry.cache(cached ? 'hit' : 'miss');
    const known = cached && serve(call, cached.connection, cached, minTtlMs, use);
    // What does not exist for the caller is looked for in the store, as what does not exist at all.
    if (known instanceof Refusal && isAbsent(known)) return store.servedRow(id).then(() => known);
    if (known) return known;
    const ticket = tokenCache.ticket();
    return store.servedRow(id).then((row) => {
      const found = openVisible(call, row, ticket, use);
      return found ? serve(call, found.connection, found.served, minTtlMs, use, true) : connectionNotFound(id);
    });
  }

  function readByOwner(
    call: Call,
    selector: OwnerSelector,
    minTtlMs: number | undefined,
    use: TokenUse,
  ): Result | Promise<Result> {
    const extent = use.proxied && { proxied: use.proxied };
    const denied = access.denied(call, use.action, selector.integration, selector.owner, undefined, extent);
    if (denied) return isAbsent(denied) && denied.fault.what === 'connection' ? ownerNotFound(selector) : denied;
    const result = readKnownOwner(call, selector, minTtlMs, use);
    if (!(result instanceof Promise))
      return result instanceof Refusal && isAbsent(result) ? whatIsAbsent(selector) : result;
    return result.then((later) => (later instanceof Refusal && isAbsent(later) ? whatIsAbsent(selector) : later));
  }

  function readKnownOwner(
    call: Call,
    selector: OwnerSelector,
    minTtlMs: number | undefined,
    use: TokenUse,
  ): Result | Promise<Result> {
    const known = cachedCandidates(selector);
    if (!known) return loadCandidates(selector).then((rows) => serveOneOf(call, rows, selector, minTtlMs, use));
    const chosen = choose(known, selector);
    if (chosen instanceof Refusal) return chosen;
    if (chosen.status !== 'revoked') return readById(call, chosen.id, minTtlMs, use);
    telemetry.cache('hit');
    return serve(call, chosen, null, minTtlMs, use);
  }

  /** An integration that does not exist is said to be the one that is missing: perhaps its id was mistyped. */
  function whatIsAbsent(selector: OwnerSelector): Refusal | Promise<Refusal> {
    return existing.has(selector.integration) ? ownerNotFound(selector) : lookUpAbsent(selector);
  }

  async function lookUpAbsent(selector: OwnerSelector): Promise<Refusal> {
    const { integration: id } = selector;
    if (!(await store.integration(id))) return refuse({ code: 'not_found', what: 'integration', id });
    existing.add(id);
    return ownerNotFound(selector);
  }

  function serveOneOf(
    call: Call,
    rows: readonly FoundToken[],
    selector: OwnerSelector,
    minTtlMs: number | undefined,
    use: TokenUse,
  ): Result | Promise<Result> {
    const connections = rows.map(({ connection }) => connection);
    const chosen = choose(connections, selector);
    if (chosen instanceof Refusal) return chosen;
    telemetry.cache('miss');
    // A refresh may have ended meanwhile: then the cache has a newer one than the row.
    const cached = tokenCache.get(chosen.id);
    if (cached) return serve(call, cached.connection, cached, minTtlMs, use);
    return serve(call, chosen, rows[connections.indexOf(chosen)]!.served, minTtlMs, use, true);
  }

  /** All connections that the selector may mean, as far as memory knows them. */
  function cachedCandidates({ integration, owner, label }: OwnerSelector): readonly Connection[] | undefined {
    const known = tokenCache.ofOwner(integration, owner);
    // Of an owner with very many connections, only the newest are known.
    return label === undefined || known?.some((c) => c.label === label) ? known : undefined;
  }

  async function loadCandidates({ integration, owner, label }: OwnerSelector): Promise<FoundToken[]> {
    const ticket = tokenCache.ticket();
    if (!tokenCache.ofOwner(integration, owner)) {
      const all = openRows(await store.servedRowsByOwner(integration, owner, undefined), ticket);
      const connections = all.map(({ connection }) => connection);
      tokenCache.putOwner(ticket, integration, owner, connections);
      if (label === undefined || connections.some((c) => c.label === label)) return all;
    }
    const later = tokenCache.ticket();
    return openRows(await store.servedRowsByOwner(integration, owner, label), later);
  }

  const openRows = (rows: readonly ServedRow[], ticket: ReadTicket) => rows.map((row) => openRow(row, ticket));

  /** The store may take no commits: then it lacks what the provider has issued last. */
  function newestOf(row: ServedRow): ServedRow {
    const { connection } = row;
    const rescued = connection.status === 'active' ? refresher.rescuedFor(connection) : undefined;
    if (!rescued) return row;
    const { change, held, grant } = rescued;
    return {
      connection: { ...connection, ...change, generation: held.generation + 1 },
      accessToken: grant.accessToken,
    };
  }

  function openRow(row: ServedRow, ticket: ReadTicket): FoundToken {
    const { connection, accessToken } = newestOf(row);
    const token = decryptAccessToken(vault, connection, accessToken);
    const served = token === null ? null : toServedToken(connection, token, clock);
    if (served && connection.status === 'active') tokenCache.putRead(served, ticket);
    return { connection, served };
  }

  async function readRow(id: string): Promise<FoundToken | undefined> {
    const ticket = tokenCache.ticket();
    const row = await store.servedRow(id);
    return row && openRow(row, ticket);
  }

  /**
   * Undefined: there is none, or no permission of the caller touches it. In either case the store was asked, and nothing is
   * decrypted: the time that it takes does not tell which.
   */
  function openVisible(
    call: Call,
    row: ServedRow | undefined,
    ticket: ReadTicket,
    { action }: TokenUse,
  ): FoundToken | undefined {
    if (!row || sees(call, row.connection)) return row && openRow(row, ticket);
    const { id, integration, owner } = row.connection;
    access.denied(call, action, integration, owner, id);
    return undefined;
  }

  return {
    read: (call, selector, minTtlMs, use = HANDED_OUT) =>
      typeof selector === 'string'
        ? readById(call, selector, minTtlMs, use)
        : readByOwner(call, selector, minTtlMs, use),

    async refresh(call, id, { rejectedToken, challenge }, use = HANDED_OUT) {
      const ticket = tokenCache.ticket();
      const found = openVisible(call, await store.servedRow(id), ticket, use);
      if (!found) return connectionNotFound(id);
      const { connection, served } = found;
      const denied = authorise(call, connection, use);
      if (denied) return denied;
      const isForced = allows(call.principal.caller.permissions, 'admin', connection.integration, connection.owner);
      // An ended grant stays ended.
      const challenged = async () =>
        challenge && connection.status === 'active' ? challenges.check(connection, challenge) : undefined;
      if (rejectedToken === undefined)
        return (
          (await countForced(call, connection, use.action)) ??
          (await challenged()) ??
          withinScopes(call, await refresher.refresh(connection, { isForced }), use)
        );
      const isRejected = (one: Result): one is ServedToken =>
        !(one instanceof Refusal) && digest(one.accessToken) === digest(rejectedToken);
      // A newer token than the store's is in memory while its commit waits: the stored one may have been rejected before.
      const isNewest = connection.generation >= (tokenCache.get(id)?.connection.generation ?? 0);
      const isReplaced = served !== null && isNewest && !isRejected(served) && isGood(served);
      if (isReplaced && connection.status === 'active') return served;
      const limited = (await countForced(call, connection, use.action)) ?? (await challenged());
      if (limited) return limited;
      const result = await refresher.refresh(connection, { isForced });
      if (!isRejected(result)) return withinScopes(call, result, use);
      // It joined a refresh that had committed this token already, or that left it as it is: another one may replace it.
      const isUnchanged = result.connection.generation <= connection.generation;
      const second = isUnchanged ? await refresher.refresh(result.connection) : result;
      return isRejected(second) ? noOtherToken(connection) : withinScopes(call, second, use);
    },

    readRow,
  };
}

/** The connection's grant has ended, and its token with it. Every other refusal may pass while the token lives. */
function isFinal({ fault }: Refusal): boolean {
  if (fault.code === 'reauthorization_required') return fault.reason !== 'not_refreshable';
  return fault.code === 'connection_on_hold' || fault.code === 'connection_revoked' || fault.code === 'not_found';
}

/** The token is too young to be renewed, waits to be committed, or the provider has issued the same one again. */
const noOtherToken = ({ integration }: Connection): Refusal =>
  refuse({
    code: 'provider_unavailable',
    integration,
    detail: 'there is no other token than the rejected one yet',
    retryAfter: REJECTED_TOKEN_RETRY_MS / 1_000,
  });
