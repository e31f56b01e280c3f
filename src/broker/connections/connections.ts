// Connections, as callers read, list and import them.
import type { Connection } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { ConnectionCount, ConnectionFilter, Page, PageRequest, Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { type ConnectionImport, createImport, type ImportParts } from './import.ts';
import { readableScopes } from './readable-scopes.ts';

export interface ConnectionResource {
  get(call: Call, id: string): Promise<Connection | Refusal>;
  /**
   * Those that the caller may read. A filter that names an integration and an owner is refused if another permission than
   * `connections:read` touches them; where none does, there are none.
   */
  list(call: Call, filter: Omit<ConnectionFilter, 'within'>, page: PageRequest): Promise<Page<Connection> | Refusal>;
  /** How many there are, for callers that may read all of them. Of counters: however many they are. */
  counts(call: Call): Promise<ConnectionCount[] | Refusal>;
  /**
   * Stores credentials that were issued elsewhere, as a new connection or to renew one. The provider is not asked: the
   * first read that needs a refresh does that.
   */
  add(call: Call, wanted: ConnectionImport): Promise<Connection | Refusal>;
}

interface Parts extends ImportParts {
  store: ImportParts['store'] & Pick<Store, 'connections' | 'countConnections'>;
  access: Access;
}

export function createConnectionResource(parts: Parts): ConnectionResource {
  const { store, access } = parts;
  return {
    async get(call, id) {
      const connection = await store.connection(id);
      if (!connection) return refuse({ code: 'not_found', what: 'connection', id });
      const { integration, owner } = connection;
      const denied = access.denied(call, 'connections:read', integration, owner, id);
      if (denied) return denied;
      access.noteRead(call, 'connection.read', { integration, owner, connectionId: id });
      return connection;
    },

    async list(call, filter, page) {
      const { integration, owner } = filter;
      const within = readableScopes(access, call, 'connections:read', filter);
      if (within instanceof Refusal) return within;
      access.noteRead(call, 'connection.list', { integration: integration ?? '*', owner: owner ?? '*' });
      return store.connections(within === 'all' ? filter : { ...filter, within }, page);
    },

    counts: async (call) => access.denied(call, 'connections:read', '*', '*') ?? store.countConnections(),

    add: createImport(parts),
  };
}
