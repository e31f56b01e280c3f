// Connect sessions, their flows, and the candidates of two-phase sessions, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { Candidate, ConnectSession, Flow } from '../domain/integration.ts';
import type { ConnectSessionFilter, Page, PageRequest, PendingRevocation, ReadIntegration } from './rows.ts';

export interface SessionStore {
  /**
   * `creator_gone`: nothing was stored, since the caller that is named, or the key, has been deleted. `exhausted`: nor here, since
   * the connection of this step-up session has been authorized `stepUps.most` times since `stepUps.since`: steps up count when
   * they are asked for, everything else, its first authorization included, when it is completed.
   */
  addSession(
    session: ConnectSession,
    audit: AuditEntry,
    creator?: { callerId: string; keyId: string | null },
    stepUps?: { since: number; most: number },
  ): Promise<'added' | 'creator_gone' | 'exhausted'>;
  session(id: string): Promise<ConnectSession | undefined>;
  sessionBySecret(digest: string): Promise<ConnectSession | undefined>;
  /**
   * Records a flow of a pending session. The first one that `binds` binds the session to the browser, and moves the end of
   * the session to that of the flow. One that does not bind moves the end of an unbound session so, too, but never beyond
   * twice its first lifetime. Of one session only the newest flows are kept. `gone`: the session is not pending, or expired; `other_browser`: it is bound to another one.
   */
  beginFlow(flow: Flow, now: number, binds?: boolean): Promise<'begun' | 'gone' | 'other_browser'>;
  /** Whose flow has this state; `isConsumed`: its response has arrived already. */
  flowOf(stateDigest: string): Promise<{ sessionId: string; browserDigest: string; isConsumed: boolean } | undefined>;
  /**
   * Deletes the flow and returns it, once: only for its state and its browser, and only before it expires. `flowOf` still
   * finds it, as consumed. Binds the session to the browser, if it is bound to none.
   */
  consumeFlow(
    stateDigest: string,
    browserDigest: string,
    now: number,
  ): Promise<{ flow: Flow; session: ConnectSession } | undefined>;
  /**
   * Ends a pending session in failure; without effect on one that is not pending. `pageError` is the code of the page that
   * tells the owner, where it is another one.
   */
  failSession(id: string, error: string, audit: AuditEntry, pageError?: string): Promise<void>;
  /**
   * A session that failed with this error, one of `RETRIED`, and has time left and no `return_url`, is pending again. False:
   * it is none of these.
   */
  reopenSession(id: string, error: string, now: number, audit: AuditEntry): Promise<boolean>;
  /**
   * A pending session becomes one of the integration that its owner has chosen; its flows at another one are deleted. False: it is
   * not pending, or expired. The choice is no secret and leaves no audit entry: what it leads to does.
   */
  chooseIntegration(session: ConnectSession, now: number): Promise<boolean>;
  /**
   * Binds a pending session to a browser, where no flow does. `gone`: it is not pending, or expired; `other_browser`: it is bound to
   * another one.
   */
  bindSession(id: string, browserDigest: string, now: number): Promise<'bound' | 'gone' | 'other_browser'>;
  /** Whether a session for this slot failed with this error since then. */
  hasFailedSession(
    slot: Pick<ConnectSession, 'integration' | 'owner' | 'label'>,
    error: string,
    since: number,
  ): Promise<boolean>;
  /** Those that match, their ids ascending. */
  connectSessions(filter: ConnectSessionFilter, page: PageRequest): Promise<Page<ConnectSession>>;
  /**
   * Ends a session that is pending, awaits its finish, or failed and may be tried again. False: it was none of these, and
   * nothing changed.
   */
  endSession(
    id: string,
    end: { status: 'failed' | 'cancelled'; error: string | null },
    audit: AuditEntry,
  ): Promise<boolean>;
  /**
   * A pending two-phase session awaits its finish from now on, with the candidate. `session_over`: it is not pending.
   * Rejects when its integration is not there, or is not the one that was read (`of`).
   */
  awaitFinish(
    candidate: Candidate,
    until: Pick<ConnectSession, 'expiresAt' | 'account'> & { finishDigest: string },
    audit: AuditEntry,
    of?: ReadIntegration,
  ): Promise<'awaiting' | 'session_over'>;
  candidate(sessionId: string): Promise<Candidate | undefined>;
  /**
   * Counts a wrong attempt to finish a session that awaits it; the `limit`th ends it in failure. Returns how many there
   * were; undefined: it does not await its finish.
   */
  countWrongAttempt(id: string, limit: number, error: string, audit: AuditEntry): Promise<number | undefined>;
  /** Candidates of sessions that have ended otherwise than by their finish, or await it no longer. */
  endedCandidates(now: number, limit: number): Promise<{ candidate: Candidate; session: ConnectSession }[]>;
  /**
   * Deletes such a candidate, and adds the revocation of its tokens; a session that has waited too long becomes `expired`.
   * False: it is not there, or its session still awaits its finish.
   */
  destroyCandidate(
    sessionId: string,
    now: number,
    revocation: PendingRevocation | null,
    audit: AuditEntry,
  ): Promise<boolean>;
}
