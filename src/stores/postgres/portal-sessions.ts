// Portal sessions in PostgreSQL.
import { and, eq, isNull } from 'drizzle-orm';
import type { PortalStore } from '../../ports/index.ts';
import type { PostgresAccess } from './client.ts';
import { isCreatorThere } from './connect-sessions.ts';
import { portalSessions } from './schema.ts';

export const createPortalStore = ({ autocommit, transaction, record }: PostgresAccess): PortalStore => ({
  addPortalSession: (session, audit, creator) =>
    transaction(async (orm) => {
      if (creator && !(await isCreatorThere(orm, creator))) return 'creator_gone';
      await orm.insert(portalSessions).values(session);
      await record(orm, audit);
      return 'added';
    }),
  portalSessionBySecret: (digest) =>
    autocommit(async (orm) => {
      const [found] = await orm.select().from(portalSessions).where(eq(portalSessions.secretDigest, digest));
      return found;
    }),
  portalSessionOfBrowser: (digest) =>
    autocommit(async (orm) => {
      const [found] = await orm.select().from(portalSessions).where(eq(portalSessions.browserDigest, digest));
      return found;
    }),
  enterPortalSession: (id, entered, audit) =>
    transaction(async (orm) => {
      const isFree = and(eq(portalSessions.id, id), isNull(portalSessions.browserDigest));
      const { rowCount } = await orm.update(portalSessions).set(entered).where(isFree);
      if (rowCount === 0) return false;
      await record(orm, audit);
      return true;
    }),
  endPortalSessions: (owner, audit) =>
    transaction(async (orm) => {
      const { rowCount } = await orm.delete(portalSessions).where(eq(portalSessions.owner, owner));
      if (rowCount) await record(orm, audit);
      return rowCount ?? 0;
    }),
});
