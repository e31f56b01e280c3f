// Importing credentials that were issued elsewhere, as a new connection or to renew one.
import { setTimeout as pause } from 'node:timers/promises';
import { accountOf } from '../../domain/account.ts';
import { capturesOf, isCode, protectedResourceOf, tokenTypeOf } from '../../domain/auth-modes.ts';
import { allows } from '../../domain/caller.ts';
import type { Account, Connection } from '../../domain/connection.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import { asMeant, fieldIssues, fill, type Values, valuesOf } from '../../domain/fields.ts';
import { readCredentials } from '../../domain/imported-credentials.ts';
import { type GivenTokens, readImportedTokens } from '../../domain/imported-tokens.ts';
import { connectionFields, identifyingFields } from '../../domain/provider.ts';
import { namesTokens } from '../../domain/signal-receivers.ts';
import type { Target } from '../../domain/target.ts';
import { LOOKUP_RETRY_AFTER_S, RENEWAL_POLL_MS, RENEWAL_WAIT_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger, ProviderClient, Store, Vault } from '../../ports/index.ts';
import { type Access, type Call, sees } from '../audit/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';
import { encryptCredentials, newId } from '../secrets/index.ts';
import { givenCredentials } from './received-grant/given-credentials.ts';
import { newConnection, type ReceivedCredentials, warnIfNotRenewable } from './received-grant/new-connection.ts';
import { compareAccounts, keepsRefreshToken, movesElsewhere, renewedCredentials } from './received-grant/renewal.ts';
import { hasNewerTokens, repeated, wasImported, withImportedToken } from './received-grant/repeated-import.ts';
import { revokeReplaced } from './upstream-revocation/replaced-grant.ts';

export interface ConnectionImport {
  integration: string;
  owner: string;
  label?: string | undefined;
  metadata?: Record<string, unknown> | undefined;
  params?: Record<string, string> | undefined;
  /** What was captured when it was connected elsewhere; only what the catalogue captures. */
  captured?: Values | undefined;
  /** Whose grant it is, where `captured` does not say. The issuer is the provider's by default. */
  account?: { issuer?: string | undefined; id: string; name?: string | null | undefined } | undefined;
  /** The connection to renew. */
  connectionId?: string | undefined;
  credentials: GivenTokens & {
    /** The credentials of the mode, by the names that the catalogue gives them. */
    fields: Values;
  };
}

export interface ImportParts {
  store: Pick<
    Store,
    | 'connection'
    | 'connectionsByValue'
    | 'servedRowsByOwner'
    | 'storedCredentials'
    | 'addConnection'
    | 'renewConnection'
    | 'addPendingRevocation'
  >;
  vault: Vault;
  provider: Pick<ProviderClient, 'identityOf' | 'lookUp'>;
  targets: Targets;
  tokenCache: Pick<TokenCache, 'invalidate' | 'invalidateOwner'>;
  access: Pick<Access, 'denied' | 'record'>;
  clock: Clock;
  log: Logger;
}

export function createImport(parts: ImportParts) {
  const { store, vault, provider, targets, tokenCache, access, clock, log } = parts;

  /** The connection to renew: the one that is named, or the one that has the slot. Undefined: a new one is wanted. */
  async function renewable(call: Call, wanted: ConnectionImport): Promise<Connection | undefined | Refusal> {
    const { connectionId: id, integration, owner, label } = wanted;
    if (id === undefined) {
      const rows = await store.servedRowsByOwner(integration, owner, label ?? '');
      return rows.map((row) => row.connection).find((c) => c.status !== 'revoked');
    }
    const connection = await store.connection(id);
    if (!connection || !sees(call, connection)) return refuse({ code: 'not_found', what: 'connection', id });
    if (connection.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: id });
    if (connection.integration === integration && connection.owner === owner) return connection;
    return invalid([{ path: 'connection_id', message: 'is a connection of another integration or owner' }]);
  }

  /**
   * With what the ID token and the access token tell of the account, where the import does not state one. `mayState`: an ID token is
   * believed by itself. Anyone may have come by one, in a log or a URL: otherwise the access token has to belong to it.
   */
  async function identified(
    stated: ReceivedCredentials,
    target: Target,
    mayState: boolean,
  ): Promise<ReceivedCredentials> {
    const { accessToken, idToken } = stated.credentials;
    if (!isCode(target.auth)) return stated;
    const issuedWith = mayState ? undefined : (accessToken ?? '');
    const identity = idToken === null ? null : ((await provider.identityOf(target, idToken, issuedWith)) ?? null);
    const { values } = target;
    const account = stated.account ?? accountOf(target.auth, { values, captured: stated.captured, identity });
    const received = { ...stated, identity, account };
    if (accessToken === null || account !== null) return received;
    const told = await provider.lookUp(target, accessToken, stated.captured);
    return { ...received, captured: told.captured, account: told.account ?? null };
  }

  /**
   * `exists` and `gone`: another request was faster. `busy`: so it was, or a refresh is spending the refresh token that is kept: what
   * is kept has to be judged by what is stored then.
   */
  async function attempt(
    call: Call,
    asked: ConnectionImport,
    given: ReturnType<typeof readImportedTokens>,
    found: ResolvedIntegration,
  ): Promise<Connection | Refusal | 'gone' | 'busy' | { exists: string }> {
    const fields = connectionFields(found.provider, found.auth);
    const wanted = { ...asked, params: asked.params && asMeant(fields, asked.params) };
    const { integration, owner } = wanted;
    const renewed = await renewable(call, wanted);
    if (renewed instanceof Refusal) return renewed;
    const wholeDenied =
      statesWhose(found, wanted, renewed) && access.denied(call, 'connections:write', integration, '*', renewed?.id);
    if (wholeDenied) return wholeDenied;
    const now = clock.now();
    const params = wanted.params ?? renewed?.params ?? {};
    const issues = fieldIssues('params', fields, params);
    const target = issues.length > 0 ? undefined : targets.targetOf(found, { params, captured: wanted.captured ?? {} });
    const stated = receivedFrom(wanted, given, found, target, renewed, now);
    if ('issues' in stated) return invalid(stated.issues);
    // Of a connection whose identity is known, another one is refused below.
    const isKnown = renewed !== undefined && renewed.identity !== null;
    const mayState = isKnown || allows(call.principal.caller.permissions, 'connections:write', integration, '*');
    const received = target ? await identified(stated, target, mayState) : stated;
    if (renewed && received.account === 'unavailable' && renewed.account !== null) {
      const detail = 'the provider could not say whose account the access token is for';
      return refuse({ code: 'provider_unavailable', integration, detail, retryAfter: LOOKUP_RETRY_AFTER_S });
    }
    // What the caller does not state is believed to be as it was: callers with `connections:write` speak for the owner.
    if (renewed && compareAccounts(renewed, found.auth, target?.values ?? {}, received) === 'other')
      return refuse({ code: 'identity_mismatch', connection_id: renewed.id });
    const id = renewed?.id ?? newId('con', now);
    const place = {
      integration,
      owner,
      label: renewed?.label ?? wanted.label ?? '',
      params,
      metadata: wanted.metadata ?? renewed?.metadata ?? {},
    };
    const stored = renewed && isCode(found.auth) ? await store.storedCredentials(id) : undefined;
    const captured = { ...renewed?.captured, ...received.captured };
    const isElsewhere = movesElsewhere(targets, found, renewed, { params, captured });
    const { refreshToken } = received.credentials;
    const hasToken = renewed !== undefined && stored !== undefined && stored.refreshToken !== null && !isElsewhere;
    const isRepeated = hasToken && refreshToken !== null && (await wasImported(parts, renewed, refreshToken));
    const keeps = isRepeated || (keepsRefreshToken(received, stored) && !isElsewhere);
    const scopes = keeps ? withScopesOf(renewed, received.scopes) : received.scopes;
    const connection = newConnection(id, place, found.auth, { ...received, scopes }, now, renewed, keeps);
    const encrypted = withImportedToken(
      vault,
      encryptCredentials(vault, connection, received.credentials, namesTokens(found.provider)),
      refreshToken,
    );
    const by = access.record(call, renewed ? 'connection.renewed' : 'connection.imported', {
      integration,
      owner,
      connectionId: id,
    });
    if (renewed) {
      const renewal =
        isRepeated && hasNewerTokens(vault, renewed, stored, refreshToken)
          ? repeated(renewed, place, now)
          : { connection, credentials: renewedCredentials(received, encrypted, keeps) };
      const done = await store.renewConnection(renewal.connection, renewal.credentials, null, by, renewed.generation);
      if (typeof done === 'string') return done === 'refreshing' || done === 'changed' ? 'busy' : 'gone';
      tokenCache.invalidate(renewal.connection, done.generation);
      if (stored && isElsewhere) await revokeReplaced(parts, found, renewed, stored, received.credentials, isElsewhere);
      if (!keeps) warnIfNotRenewable(log, connection, found.auth, received.credentials);
      return { ...renewal.connection, ...done };
    }
    const added = await store.addConnection(connection, encrypted, null, by, found.integration);
    if (added !== 'added') return typeof added === 'object' ? added : 'gone';
    tokenCache.invalidateOwner(connection);
    warnIfNotRenewable(log, connection, found.auth, received.credentials);
    return connection;
  }

  return async (call: Call, wanted: ConnectionImport): Promise<Connection | Refusal> => {
    const { integration, owner, connectionId } = wanted;
    const denied = access.denied(call, 'connections:write', integration, owner);
    if (denied) return denied;
    const found = await targets.find(integration);
    if (found instanceof Refusal) return found;
    const given = readImportedTokens(wanted.credentials, clock.now());
    const scopes = given.tokens.scopes ?? found.integration.scopes;
    const scopesDenied = access.denied(call, 'connections:write', integration, owner, connectionId, { scopes });
    if (scopesDenied) return scopesDenied;

    let exists = connectionId ?? '';
    let polls = 0;
    for (let n = 0; n < ATTEMPTS; n++) {
      const done = await attempt(call, wanted, given, found);
      if (done === 'busy') {
        if (++polls > REFRESH_POLLS) {
          const detail = 'the connection is being refreshed, or renewed by others';
          return refuse({ code: 'provider_unavailable', integration, detail, retryAfter: LOOKUP_RETRY_AFTER_S });
        }
        n--;
        await pause(RENEWAL_POLL_MS);
      } else if (done === 'gone') {
        if (connectionId !== undefined) return refuse({ code: 'connection_revoked', connection_id: connectionId });
      } else if ('exists' in done) exists = done.exists;
      else return done;
    }
    return refuse({ code: 'connection_exists', connection_id: exists });
  };
}

/** Other requests may create or revoke a connection with the same integration, owner and label meanwhile. */
const ATTEMPTS = 3;
const REFRESH_POLLS = RENEWAL_WAIT_MS / RENEWAL_POLL_MS;

/** The kept refresh token brings back all that the connection had, and a provider need not say so (RFC 6749 5.1). */
const withScopesOf = (renewed: Connection | undefined, scopes: readonly string[]): string[] => [
  ...new Set([...(renewed?.scopes ?? []), ...scopes]),
];

/**
 * Whether it says whose account it is, which no credential has proved: webhooks, limits and revocations of another owner's would
 * go by it.
 */
function statesWhose(
  { provider, auth }: ResolvedIntegration,
  { account, captured = {}, params = {} }: ConnectionImport,
  renewed: Connection | undefined,
): boolean {
  const identifying = Object.keys(identifyingFields(provider, auth));
  const { issuer, id } = renewed?.account ?? {};
  const isKnown = account === undefined || (account.id === id && (account.issuer ?? issuer) === issuer);
  return (
    !isKnown ||
    Object.entries(captured).some(([name, value]) => renewed?.captured[name] !== value) ||
    identifying.some((name) => params[name] !== undefined && params[name] !== renewed?.params[name])
  );
}

const invalid = (issues: InputIssue[]): Refusal =>
  refuse({ code: 'invalid_request', detail: 'the import has invalid fields', issues });

/** The credentials of the import in one form for all modes; or everything that is wrong with it. */
function receivedFrom(
  wanted: ConnectionImport,
  given: ReturnType<typeof readImportedTokens>,
  { auth, provider, integration }: ResolvedIntegration,
  target: Target | undefined,
  renewed: Connection | undefined,
  now: number,
): ReceivedCredentials | { issues: InputIssue[] } {
  const { refreshToken, accessToken, idToken, expiresAt, scopes } = given.tokens;
  const paramFields = connectionFields(provider, auth);
  const params = wanted.params ?? renewed?.params ?? {};
  const issues = [...given.issues, ...fieldIssues('params', paramFields, params)];
  const read = readCredentials(auth, wanted.credentials.fields);
  const captured = wanted.captured ?? {};
  const unknown = Object.keys(captured).filter((name) => !capturesOf(auth).includes(name));
  const known = capturesOf(auth).join(', ') || 'nothing';
  issues.push(
    ...unknown.map((name) => ({ path: `captured.${name}`, message: `is not captured; this mode captures: ${known}` })),
  );
  if ('issues' in read) issues.push(...read.issues);
  if (isCode(auth)) {
    if (refreshToken !== null && protectedResourceOf(auth) !== undefined)
      issues.push({
        path: 'credentials.refresh_token',
        message: 'not taken: its authorization server is found when the owner connects; create a connect session',
      });
    if (accessToken === null && refreshToken === null)
      issues.push({ path: 'credentials', message: 'must have a refresh_token, an access_token, or both' });
  } else {
    const {
      tokenType: token_type = null,
      expiresIn: expires_in = null,
      expiresAt: expires_at = null,
    } = wanted.credentials;
    const tokens = { refresh_token: refreshToken, access_token: accessToken, id_token: idToken };
    const notTaken = { ...tokens, token_type, expires_at, expires_in };
    for (const [name, value] of Object.entries(notTaken))
      if (value !== null) issues.push({ path: `credentials.${name}`, message: `not taken in the mode ${auth.mode}` });
  }
  const account = target === undefined ? null : accountFrom(wanted, target);
  if (account !== null && 'path' in account) issues.push(account);
  if (issues.length > 0 || 'issues' in read || (account !== null && 'path' in account)) return { issues };
  const common = {
    idleIn: undefined,
    endsIn: undefined,
    captured,
    identity: null,
    account,
    replacesScopes: false,
    tokenType: tokenTypeOf(auth),
    scopes: scopes ?? renewed?.scopes ?? integration.scopes,
  };
  if (isCode(auth)) {
    const credentials = { accessToken, refreshToken, idToken, credentials: null };
    return { ...common, credentials, expiresAt: accessToken === null ? now : (expiresAt ?? null) };
  }
  const values = {
    ...valuesOf({ ...provider.params, ...auth.params }, integration.params),
    ...valuesOf(paramFields, params),
  };
  return { ...common, ...givenCredentials(auth, read.values, values, scopes, now) };
}

/** As the caller states it, or as what was captured tells; null: neither does. */
function accountFrom(
  { account, captured = {} }: Pick<ConnectionImport, 'account' | 'captured'>,
  { auth, values, issuer: openid }: Target,
): Account | InputIssue | null {
  if (account === undefined) return accountOf(auth, { values, captured, identity: null });
  const rule = isCode(auth) ? auth.account : undefined;
  const issuer = account.issuer ?? (rule === undefined ? openid : fill(rule.issuer, values));
  if (!issuer) return { path: 'account.issuer', message: 'is required: the provider has no issuer of its own' };
  return { issuer, id: account.id, name: account.name ?? null };
}
