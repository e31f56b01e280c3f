// Agent sessions, as a store keeps them.
import type { AgentSession, SessionEnd } from '../domain/agent-session.ts';
import type { AuditEntry } from '../domain/audit.ts';
import type { Scope } from '../domain/caller.ts';
import type { Page, PageRequest } from './rows.ts';

/**
 * Who asks: an agent session sees itself and those below it; a caller those that were made with it, and those for whose owner one of
 * the scopes covers each of their integrations.
 */
export type SessionViewer = { session: string } | { callerId: string; scopes: Scope[] };

export interface AgentSessionFilter {
  owner?: string | undefined;
  callerId?: string | undefined;
  /** Undefined: everyone's. */
  seenBy?: SessionViewer | undefined;
  /** Only those that can be used at this time, in ms. */
  liveAt?: number | undefined;
}

/** What must still be there when a session is stored. */
export interface SessionMaker {
  /** Undefined: that of the admin key, which is in no table. */
  callerId: string | undefined;
  /** Null: it was no key. */
  keyId: string | null;
  /** Sessions of this caller that can be used now: with so many, no more are made. */
  mostLive: number;
  /** The same of the session that makes it. */
  mostBelow: number;
}

export interface AgentSessionStore {
  /**
   * `maker_gone`: nothing was stored, since the caller, the key, or the session that makes it, is not there any more; `too_many`:
   * the caller, or the session that makes it, has as many as it may have.
   */
  addAgentSession(
    session: AgentSession,
    maker: SessionMaker,
    audit: AuditEntry,
  ): Promise<'added' | 'maker_gone' | 'too_many'>;
  /** Those of these digests, also those that have ended. One look-up in an index for each. */
  agentSessionsByDigest(digests: readonly string[]): Promise<AgentSession[]>;
  /** Which of these have ended before their time, or are not there. */
  endedAgentSessions(ids: readonly string[]): Promise<string[]>;
  agentSession(id: string): Promise<AgentSession | undefined>;
  /** The newest first. */
  agentSessions(filter: AgentSessionFilter, page: PageRequest): Promise<Page<AgentSession>>;
  /**
   * Ends these before their time, and all that were made with them, in one commit; returns the ids of those that were not over.
   * None: no entry is written.
   */
  endAgentSessions(ids: readonly string[], reason: SessionEnd, audit: AuditEntry): Promise<string[]>;
  /**
   * Counts a use of all of these, or of none. `used_up`: one of them has no use left; `ended`: one has ended, or its time is over.
   * Exact, however many ask at once.
   */
  countSessionUse(ids: readonly string[], now: number): Promise<'counted' | 'used_up' | 'ended'>;
  /** How many can be used now. */
  countLiveAgentSessions(now: number): Promise<number>;
}
