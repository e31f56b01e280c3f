// Portal sessions, as a store keeps them: one browser sees the connections of one owner, for a short time.
import type { AuditEntry } from '../domain/audit.ts';
import type { PortalSessionRow } from '../domain/portal-session.ts';

export interface PortalStore {
  /** `creator_gone`: nothing was stored, since the caller that is named, or the key, has been deleted. */
  addPortalSession(
    session: PortalSessionRow,
    audit: AuditEntry,
    creator?: { callerId: string; keyId: string | null },
  ): Promise<'added' | 'creator_gone'>;
  /** By the digest of the secret in its URL. */
  portalSessionBySecret(digest: string): Promise<PortalSessionRow | undefined>;
  portalSessionOfBrowser(browserDigest: string): Promise<PortalSessionRow | undefined>;
  /** Gives it to a browser, once. False: it is not there any more, or another browser has it. */
  enterPortalSession(
    id: string,
    entered: Pick<PortalSessionRow, 'content' | 'expiresAt'> & { browserDigest: string },
    audit: AuditEntry,
  ): Promise<boolean>;
  /** Deletes all of an owner, with one entry; without effect if there are none. Returns how many there were. */
  endPortalSessions(owner: string, audit: AuditEntry): Promise<number>;
}
