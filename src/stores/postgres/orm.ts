// Types of the query builder on one connection.
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { PoolClient } from 'pg';

/** One connection, for the length of a statement or transaction. */
export type Orm = NodePgDatabase & { $client: PoolClient };

/** Builds statements once for each connection. `name` names one to the server, unless a pooler is in between. */
export type Prepare = <T>(build: (orm: Orm, name: (name: string) => string) => T) => (orm: Orm) => T;
