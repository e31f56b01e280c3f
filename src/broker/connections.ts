// Connections as callers see them: one, a list, and an import.
import { allows, scopesOf } from '../domain/caller.ts';
import type { Connection } from '../domain/connection.ts';
import { Refusal, refuse } from '../domain/errors.ts';
import { idleLifetime } from '../domain/provider.ts';
import { authMode, paramIssues } from '../domain/target.ts';
import type { Clock, ConnectionFilter, Page, PageRequest, Store, Vault } from '../ports.ts';
import type { Access, Call } from './access.ts';
import { establish } from './establish.ts';
import { sealGrant } from './grants.ts';
import { newId } from './secrets.ts';
import type { Serving } from './serving.ts';
import type { Targets } from './targets.ts';

export interface Import {
  integration: string;
  owner: string;
  label?: string | undefined;
  metadata?: Record<string, unknown> | undefined;
  params?: Record<string, string> | undefined;
  credentials: {
    refreshToken?: string | undefined;
    accessToken?: string | undefined;
    expiresAt?: number | undefined;
    scopes?: string[] | undefined;
  };
}

interface Parts {
  store: Store;
  vault: Vault;
  targets: Targets;
  serving: Serving;
  access: Access;
  clock: Clock;
}

export type Connections = ReturnType<typeof createConnections>;

export function createConnections({ store, vault, targets, serving, access, clock }: Parts) {
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
      const within = scopesOf(call.principal.caller.grants, 'connections:read');
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
      const everything = allows(call.principal.caller.grants, 'connections:read', '*', '*');
      return store.connections(everything ? filter : { ...filter, within }, page);
    },

    /** Takes over a grant that was made elsewhere. The provider is not asked: the first read that needs it refreshes. */
    async add(call: Call, wanted: Import): Promise<Connection | Refusal> {
      const { integration, owner, credentials } = wanted;
      const denied = access.denied(call, 'connections:write', integration, owner);
      if (denied) return denied;
      const found = await targets.find(integration);
      if (found instanceof Refusal) return found;
      const params = wanted.params ?? {};
      const issues = paramIssues(found.provider.connection_params, params);
      const grant = {
        accessToken: credentials.accessToken ?? null,
        refreshToken: credentials.refreshToken ?? null,
        idToken: null,
      };
      if (grant.accessToken === null && grant.refreshToken === null) {
        issues.push({ path: 'credentials', message: 'give a refresh_token, an access_token, or both' });
      }
      if (issues.length > 0) return refuse({ code: 'invalid_request', detail: 'the import cannot be taken', issues });

      const now = clock.now();
      const id = newId('con', now);
      const place = { integration, owner, label: wanted.label ?? '', params, metadata: wanted.metadata ?? {} };
      const connection = establish(
        id,
        place,
        {
          grant,
          tokenType: 'Bearer',
          scopes: credentials.scopes ?? found.integration.scopes,
          expiresAt: grant.accessToken === null ? now : (credentials.expiresAt ?? null),
          captured: {},
          identity: null,
          idleMs: idleLifetime(authMode(found.provider, found.integration.params)),
        },
        now,
      );
      const by = access.record(call, 'connection.imported', { integration, owner, connectionId: id });
      const added = await store.addConnection(connection, sealGrant(vault, id, grant), null, by);
      if (added === 'added') {
        serving.dropOwner(connection);
        return connection;
      }
      const taken = typeof added === 'object' ? added.exists : id;
      return refuse({ code: 'connection_exists', connection_id: taken });
    },
  };
}
