// Sessions of the browser console, and the links that begin one, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { ConsoleSession } from '../domain/console.ts';

/**
 * Which sessions end: all members that are given have to match. A session of the given `subject` that does not say which
 * session of the provider it is may be any of theirs.
 */
export interface EndedConsoleSessions {
  id?: string | undefined;
  issuer?: string | undefined;
  subject?: string | undefined;
  providerSession?: string | undefined;
}

export interface ConsoleSessionStore {
  /** `replaces`: the session that the browser had before, which ends in the same commit. */
  addConsoleSession(session: ConsoleSession, audit: AuditEntry, replaces?: string): Promise<void>;
  /** Also one that has expired, or a link that no one has opened. */
  consoleSession(digest: string): Promise<ConsoleSession | undefined>;
  /**
   * Turns a link into the session that it begins, once: `session` has its id and another digest. `replaces` as above. False: it
   * has been opened before, or ended, and nothing changed.
   */
  openConsoleLink(session: ConsoleSession, audit: AuditEntry, replaces?: string): Promise<boolean>;
  /** Moves `lastSeenAt` forward, never back. */
  touchConsoleSession(id: string, lastSeenAt: number): Promise<void>;
  /** Those that have not expired, links included, the newest first; `limit` at most. */
  consoleSessions(now: number, limit: number): Promise<ConsoleSession[]>;
  /** Returns how many there were; without one, no entry is written. */
  endConsoleSessions(which: EndedConsoleSessions, audit: AuditEntry): Promise<number>;
}
