// Whether an integration is still the one that was read, inside a transaction.
import { and, eq } from 'drizzle-orm';
import type { ReadIntegration } from '../../ports/index.ts';
import type { Orm } from './client.ts';
import { integrations } from './schema.ts';

/** Without `of`: whether there is one. It is not deleted until the transaction ends. */
export async function isThere(orm: Orm, id: string, of: ReadIntegration | undefined): Promise<boolean> {
  const isSame = of && eq(integrations.createdAt, of.createdAt);
  const same = and(eq(integrations.id, id), isSame);
  const found = await orm.select({ id: integrations.id }).from(integrations).where(same).for('key share');
  return found.length > 0;
}
