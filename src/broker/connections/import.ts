// Importing credentials that were issued elsewhere, as a new connection or to renew one.
import { capturesOf, isCode, isStatic, tokenTypeOf } from '../../domain/auth-modes.ts';
import type { Connection } from '../../domain/connection.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import { fieldIssues, type Values, valuesOf } from '../../domain/fields.ts';
import { readCredentials, serializeCredentials, staticToken } from '../../domain/imported-credentials.ts';
import { type GivenTokens, readImportedTokens } from '../../domain/imported-tokens.ts';
import { connectionFields } from '../../domain/provider.ts';
import type { Clock, Logger, ProviderClient, Store, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';
import { encryptCredentials, newId } from '../secrets/index.ts';
import { isDifferentIdentity, newConnection, type ReceivedCredentials, warnIfNotRenewable } from './new-connection.ts';

export interface ConnectionImport {
  integration: string;
  owner: string;
  label?: string | undefined;
  metadata?: Record<string, unknown> | undefined;
  params?: Record<string, string> | undefined;
  /** What was captured when it was connected elsewhere; only what the catalogue captures. */
  captured?: Values | undefined;
  /** The connection to renew. */
  connectionId?: string | undefined;
  credentials: GivenTokens & {
    /** The credentials of the mode, by the names that the catalogue gives them. */
    fields: Values;
  };
}

export interface ImportParts {
  store: Pick<Store, 'connection' | 'addConnection' | 'renewConnection'>;
  vault: Vault;
  targets: Targets;
  tokenCache: Pick<TokenCache, 'invalidate' | 'invalidateOwner'>;
  access: Pick<Access, 'denied' | 'record'>;
  provider: Pick<ProviderClient, 'identityOf'>;
  clock: Clock;
  log: Logger;
}

export function createImport({ store, vault, targets, tokenCache, access, provider, clock, log }: ImportParts) {
  /** Undefined: a new connection is wanted. */
  async function renewable(wanted: ConnectionImport): Promise<Connection | undefined | Refusal> {
    const { connectionId: id, integration, owner } = wanted;
    if (id === undefined) return undefined;
    const connection = await store.connection(id);
    if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
    if (connection.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: id });
    if (connection.integration === integration && connection.owner === owner) return connection;
    return invalid([{ path: 'connection_id', message: 'is a connection of another integration or owner' }]);
  }

  return async (call: Call, wanted: ConnectionImport): Promise<Connection | Refusal> => {
    const { integration, owner } = wanted;
    const denied = access.denied(call, 'connections:write', integration, owner, wanted.connectionId);
    if (denied) return denied;
    const found = await targets.find(integration);
    if (found instanceof Refusal) return found;
    const now = clock.now();
    const given = readImportedTokens(wanted.credentials, now);
    const scopes = given.tokens.scopes ?? found.integration.scopes;
    const scopesDenied = access.denied(call, 'connections:write', integration, owner, wanted.connectionId, { scopes });
    if (scopesDenied) return scopesDenied;
    const renewed = await renewable(wanted);
    if (renewed instanceof Refusal) return renewed;

    const received = receivedFrom(wanted, given, found, renewed, now);
    if ('issues' in received) return invalid(received.issues);
    const { idToken } = given.tokens;
    if (idToken !== null) {
      const target = targets.targetOf(found, {
        params: wanted.params ?? renewed?.params ?? {},
        captured: received.captured,
      });
      received.identity = (await provider.identityOf(target, idToken)) ?? null;
      if (isDifferentIdentity(renewed?.identity, received.identity))
        return invalid([{ path: 'credentials.id_token', message: 'is of another account than the connection has' }]);
    }
    const id = renewed?.id ?? newId('con', now);
    const place = {
      integration,
      owner,
      label: renewed?.label ?? wanted.label ?? '',
      params: wanted.params ?? renewed?.params ?? {},
      metadata: wanted.metadata ?? renewed?.metadata ?? {},
    };
    const connection = newConnection(id, place, found.auth, received, now, renewed);
    const encrypted = encryptCredentials(vault, id, received.credentials);
    const action = renewed ? 'connection.renewed' : 'connection.imported';
    const by = access.record(call, action, { integration, owner, connectionId: id });
    if (renewed) {
      const done = await store.renewConnection(connection, encrypted, null, by);
      if (typeof done === 'string') return refuse({ code: 'connection_revoked', connection_id: id });
      tokenCache.invalidate(connection, done.generation);
      warnIfNotRenewable(log, connection, found.auth, received.credentials);
      return { ...connection, ...done };
    }
    const added = await store.addConnection(connection, encrypted, null, by);
    if (added === 'added') {
      tokenCache.invalidateOwner(connection);
      warnIfNotRenewable(log, connection, found.auth, received.credentials);
      return connection;
    }
    const existing = typeof added === 'object' ? added.exists : id;
    return refuse({ code: 'connection_exists', connection_id: existing });
  };
}

const invalid = (issues: InputIssue[]): Refusal =>
  refuse({ code: 'invalid_request', detail: 'the import has invalid fields', issues });

/** The credentials of the import in one form for all modes; or everything that is wrong with it. */
function receivedFrom(
  wanted: ConnectionImport,
  given: ReturnType<typeof readImportedTokens>,
  { auth, provider, integration }: ResolvedIntegration,
  renewed: Connection | undefined,
  now: number,
): ReceivedCredentials | { issues: InputIssue[] } {
  const { refreshToken, accessToken, idToken, expiresAt, scopes } = given.tokens;
  const paramFields = connectionFields(provider, auth);
  const params = wanted.params ?? renewed?.params ?? {};
  const issues = [...given.issues, ...fieldIssues('params', paramFields, params)];
  const read = readCredentials(auth, wanted.credentials.fields);
  const captured = wanted.captured ?? renewed?.captured ?? {};
  const unknown = Object.keys(captured).filter((name) => !capturesOf(auth).includes(name));
  const known = capturesOf(auth).join(', ') || 'nothing';
  issues.push(
    ...unknown.map((name) => ({ path: `captured.${name}`, message: `is not captured; this mode captures: ${known}` })),
  );
  if ('issues' in read) issues.push(...read.issues);
  if (isCode(auth)) {
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
  if (issues.length > 0 || 'issues' in read) return { issues };
  const common = {
    idleIn: undefined,
    endsIn: undefined,
    captured,
    identity: null,
    tokenType: tokenTypeOf(auth),
    scopes: scopes ?? integration.scopes,
  };
  const none = { accessToken: null, refreshToken: null, idToken: null, credentials: null };
  if (isStatic(auth)) {
    const values = {
      ...valuesOf({ ...provider.params, ...auth.params }, integration.params),
      ...valuesOf(paramFields, params),
    };
    const served = staticToken(auth, read.values, values);
    return { ...common, credentials: { ...none, accessToken: served }, expiresAt: null };
  }
  if (isCode(auth)) {
    const credentials = { ...none, accessToken, refreshToken, idToken };
    return { ...common, credentials, expiresAt: accessToken === null ? now : (expiresAt ?? null) };
  }
  return {
    ...common,
    credentials: { ...none, credentials: serializeCredentials(read.values, scopes) },
    expiresAt: now,
  };
}
