// Connections and their credentials: what both stores select, compare and write, for the tables of any dialect.
import { and, type Column, desc, eq, type SQL, sql } from 'drizzle-orm';
import type { Ciphertext, Connection } from '../../domain/connection.ts';
import type { RenewedCredentials } from '../../ports/index.ts';

/** How many connections of one owner a cold read returns at most. */
export const MAX_SERVED = 20;

/** Not a join: with one, better-sqlite3 takes three times as long for the same row. */
export const accessTokenOf: SQL<Ciphertext | null> = sql`(select access_token from grants where connection_id = connections.id)`;
export const credentialsOf: SQL<Ciphertext | null> = sql`(select credentials from grants where connection_id = connections.id)`;

export const liveFirst = ({ id, status }: Record<'id' | 'status', Column>): [SQL, SQL] => [
  sql`${status} = 'revoked'`,
  desc(id),
];

export const isTombstone = (connections: Record<'id' | 'status', Column>, id: string): SQL | undefined =>
  and(eq(connections.id, id), eq(connections.status, 'revoked'));

/** Both terms, and literally: so either database finds them by the index of those that are not active. */
export const isAnyTombstone = ({ status }: Record<'status', Column>): SQL =>
  sql`(${status} = 'revoked' and ${status} <> 'active')`;

/** At most one live connection is there: a unique index holds it. */
export const hasSlot = (
  connections: Record<'integration' | 'owner' | 'label', Column>,
  { integration, owner, label }: Pick<Connection, 'integration' | 'owner' | 'label'>,
): SQL | undefined =>
  and(eq(connections.integration, integration), eq(connections.owner, owner), eq(connections.label, label));

/** What `renewConnection` sets; `integration`, `owner` and `label`, by which it is known, stay. */
export function renewalOf(connections: Record<'generation', Column>, connection: Connection) {
  const { id: _id, integration: _i, owner: _o, label: _l, createdAt: _c, generation: _g, ...change } = connection;
  return {
    ...change,
    status: 'active' as const,
    reason: null,
    failures: 0,
    lastRefreshError: null,
    lastCheckedAt: null,
    lastCheckError: null,
    upstreamRevocation: null,
    generation: sql`${connections.generation} + 1`,
  };
}

/** False: all that are stored stay. */
export const bringsSecrets = ({ accessToken, refreshToken, idToken, credentials }: RenewedCredentials): boolean =>
  [accessToken, refreshToken, idToken, credentials].some((secret) => secret !== undefined);
