// Connections as callers see them: one, a list, and an import.

import { capturesOf, isCode, isStatic, tokenTypeOf } from '../../domain/auth-modes.ts';
import { allows, scopesOf } from '../../domain/caller.ts';
import type { Connection } from '../../domain/connection.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import { fieldIssues, type Values, valuesOf } from '../../domain/fields.ts';
import { packCredentials, readCredentials, staticToken } from '../../domain/imported-credentials.ts';
import { connectionFields } from '../../domain/provider.ts';
import type { Clock, ConnectionFilter, Page, PageRequest, Store, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';
import { encryptCredentials, newId } from '../secrets/index.ts';
import { newConnection, type ReceivedGrant } from './new-connection.ts';

export interface Import {
  integration: string;
  owner: string;
  label?: string | undefined;
  metadata?: Record<string, unknown> | undefined;
  params?: Record<string, string> | undefined;
  /** What was captured where it was connected; only what the catalogue captures. */
  captured?: Values | undefined;
  /** Renews that connection under its id. */
  connectionId?: string | undefined;
  credentials: {
    refreshToken?: string | undefined;
    accessToken?: string | undefined;
    expiresAt?: number | undefined;
    scopes?: string[] | undefined;
    /** What the mode asks for, by its names. */
    fields: Values;
  };
}

interface Parts {
  store: Store;
  vault: Vault;
  targets: Targets;
  tokenCache: TokenCache;
  access: Access;
  clock: Clock;
}

export type Connections = ReturnType<typeof createConnections>;

export function createConnections({ store, vault, targets, tokenCache, access, clock }: Parts) {
  return {
    async get(call: Call, id: string): Promise<Connection | Refusal> {
      const connection = await store.connection(id);
      if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
      const { integration, owner } = connection;
      const denied = access.denied(call, 'connections:read', integration, owner, id);
      if (denied) return denied;
      access.noteRead(call, 'connection.read', { integration, owner, connectionId: id });
      return connection;
    },

    /** Shows what lies within the caller's grants; asking by name for what does not is refused. */
    async list(
      call: Call,
      filter: Pick<ConnectionFilter, 'integration' | 'owner' | 'status'>,
      page: PageRequest,
    ): Promise<Page<Connection> | Refusal> {
      const within = scopesOf(call.principal.caller.permissions, 'connections:read');
      if (within.length === 0) {
        return (
          access.denied(call, 'connections:read', filter.integration ?? '*', filter.owner ?? '*') ?? {
            data: [],
            next: null,
          }
        );
      }
      const { integration, owner } = filter;
      if (integration !== undefined && owner !== undefined) {
        const denied = access.denied(call, 'connections:read', integration, owner);
        if (denied) return denied;
      }
      access.noteRead(call, 'connection.list', { integration: integration ?? '*', owner: owner ?? '*' });
      const everything = allows(call.principal.caller.permissions, 'connections:read', '*', '*');
      return store.connections(everything ? filter : { ...filter, within }, page);
    },

    /** Takes over what was made elsewhere. The provider is not asked: the first read that needs it is what asks. */
    async add(call: Call, wanted: Import): Promise<Connection | Refusal> {
      const { integration, owner } = wanted;
      const denied = access.denied(call, 'connections:write', integration, owner, wanted.connectionId);
      if (denied) return denied;
      const found = await targets.find(integration);
      if (found instanceof Refusal) return found;
      const scopes = wanted.credentials.scopes ?? found.integration.scopes;
      const tooFar = access.denied(call, 'connections:write', integration, owner, wanted.connectionId, { scopes });
      if (tooFar) return tooFar;
      const renewed = await renewable(wanted);
      if (renewed instanceof Refusal) return renewed;

      const now = clock.now();
      const brought = broughtBy(wanted, found, renewed, now);
      if ('issues' in brought) {
        return refuse({ code: 'invalid_request', detail: 'the import cannot be taken', issues: brought.issues });
      }
      const id = renewed?.id ?? newId('con', now);
      const place = {
        integration,
        owner,
        label: renewed?.label ?? wanted.label ?? '',
        params: wanted.params ?? renewed?.params ?? {},
        metadata: wanted.metadata ?? renewed?.metadata ?? {},
      };
      const connection = newConnection(id, place, found.auth, brought, now, renewed);
      const grant = encryptCredentials(vault, id, brought.grant);
      const action = renewed ? 'connection.renewed' : 'connection.imported';
      const by = access.record(call, action, { integration, owner, connectionId: id });
      if (renewed) {
        const done = await store.renewConnection(connection, grant, null, by);
        if (typeof done === 'string') return refuse({ code: 'connection_revoked', connection_id: id });
        tokenCache.invalidate(connection, done.generation);
        return { ...connection, ...done };
      }
      const added = await store.addConnection(connection, grant, null, by);
      if (added === 'added') {
        tokenCache.invalidateOwner(connection);
        return connection;
      }
      const taken = typeof added === 'object' ? added.exists : id;
      return refuse({ code: 'connection_exists', connection_id: taken });
    },
  };

  /** Undefined: a new one is wanted. */
  async function renewable({
    connectionId: id,
    integration,
    owner,
  }: Import): Promise<Connection | undefined | Refusal> {
    if (id === undefined) return undefined;
    const connection = await store.connection(id);
    if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
    if (connection.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: id });
    if (connection.integration === integration && connection.owner === owner) return connection;
    const message = 'is a connection of another integration or owner';
    return refuse({
      code: 'invalid_request',
      detail: 'the import cannot be taken',
      issues: [{ path: 'connection_id', message }],
    });
  }
}

/** What the import brings, in one form for all modes; or what is wrong with it, all at once. */
function broughtBy(
  wanted: Import,
  { auth, provider, integration }: ResolvedIntegration,
  renewed: Connection | undefined,
  now: number,
): ReceivedGrant | { issues: InputIssue[] } {
  const { refreshToken = null, accessToken = null, expiresAt, scopes, fields } = wanted.credentials;
  const paramFields = connectionFields(provider, auth);
  const params = wanted.params ?? renewed?.params ?? {};
  const issues = fieldIssues('params', paramFields, params);
  const read = readCredentials(auth, fields);
  const captured = wanted.captured ?? renewed?.captured ?? {};
  const unknown = Object.keys(captured).filter((name) => !capturesOf(auth).includes(name));
  const takes = capturesOf(auth).join(', ') || 'nothing';
  issues.push(
    ...unknown.map((name) => ({ path: `captured.${name}`, message: `not captured here, which is: ${takes}` })),
  );
  if ('issues' in read) issues.push(...read.issues);
  if (isCode(auth)) {
    if (accessToken === null && refreshToken === null)
      issues.push({ path: 'credentials', message: 'give a refresh_token, an access_token, or both' });
  } else {
    const takesNone = { refresh_token: refreshToken, access_token: accessToken, expires_at: expiresAt ?? null };
    for (const [name, value] of Object.entries(takesNone))
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
    return { ...common, grant: { ...none, accessToken: served }, expiresAt: null };
  }
  if (isCode(auth)) {
    const grant = { ...none, accessToken, refreshToken };
    return { ...common, grant, expiresAt: accessToken === null ? now : (expiresAt ?? null) };
  }
  return { ...common, grant: { ...none, credentials: packCredentials(read.values, scopes) }, expiresAt: now };
}
