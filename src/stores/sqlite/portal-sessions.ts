// Portal sessions in SQLite.
import { and, eq, isNull } from 'drizzle-orm';
import type { PortalStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { isCreatorThere } from './connect-sessions.ts';
import { portalSessions } from './schema.ts';

export const createPortalStore = ({ orm, read, write, record }: SqliteAccess): PortalStore => ({
  addPortalSession: (session, audit, creator) =>
    write(() => {
      if (creator && !isCreatorThere(orm, creator)) return 'creator_gone';
      orm.insert(portalSessions).values(session).run();
      record(audit);
      return 'added';
    }),
  portalSessionBySecret: (digest) =>
    read(() => orm.select().from(portalSessions).where(eq(portalSessions.secretDigest, digest)).get()),
  portalSessionOfBrowser: (digest) =>
    read(() => orm.select().from(portalSessions).where(eq(portalSessions.browserDigest, digest)).get()),
  enterPortalSession: (id, entered, audit) =>
    write(() => {
      const isFree = and(eq(portalSessions.id, id), isNull(portalSessions.browserDigest));
      if (orm.update(portalSessions).set(entered).where(isFree).run().changes === 0) return false;
      record(audit);
      return true;
    }),
  endPortalSessions: (owner, audit) =>
    write(() => {
      const { changes } = orm.delete(portalSessions).where(eq(portalSessions.owner, owner)).run();
      if (changes > 0) record(audit);
      return changes;
    }),
});
