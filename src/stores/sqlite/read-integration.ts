// Whether an integration is still the one that was read, inside an operation.
import { and, eq } from 'drizzle-orm';
import type { ReadIntegration } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { integrations } from './schema.ts';

/** Without `of`: whether there is one. */
export function isThere(orm: SqliteAccess['orm'], id: string, of: ReadIntegration | undefined): boolean {
  const isSame = of && eq(integrations.createdAt, of.createdAt);
  const same = and(eq(integrations.id, id), isSame);
  return orm.select({ id: integrations.id }).from(integrations).where(same).get() !== undefined;
}
