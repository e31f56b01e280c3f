// Agent sessions: made by callers for the processes beside their models, listed, and ended.
import { type AgentSession, type SessionEnd, statusOfSession } from '../../domain/agent-session.ts';
import { ADMIN_ID, allows, keyOfMaker, madeWith, matches, scopesOf } from '../../domain/caller.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import { coversWanted } from '../../domain/narrowed-permissions.ts';
import { sessionClaims } from '../../domain/session-claims.ts';
import type { Clock, Page, PageRequest, SessionViewer, Store, Telemetry } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { Cache, CallerCache } from '../cache/index.ts';
import { digest, newId, newSessionToken } from '../secrets/index.ts';
import type { JwtSigner } from '../signing/index.ts';
import {
  type AgentSessionRequest,
  limitsOf,
  missingAudience,
  missingFor,
  requestIssues,
  ttlOf,
} from './session-request.ts';

/** `token` is not stored: it is returned once. */
export interface CreatedAgentSession {
  session: AgentSession;
  token: string;
}

export interface AgentSessionList {
  owner?: string | undefined;
  callerId?: string | undefined;
  /** Only those that can be used now. */
  isLive?: boolean | undefined;
}

/**
 * A caller sees and ends the sessions that were made with its permissions, and those whose owner and integrations its permissions
 * cover with `sessions`; a session those below it, and itself. All reject with `StoreError`.
 */
export interface AgentSessions {
  /**
   * For callers with `sessions`, and with all that the session is to do, for its owner and its integrations: `forbidden` says what
   * is missing. `invalid_request` where it is to last longer than the caller's sessions may.
   */
  create(call: Call, request: AgentSessionRequest): Promise<CreatedAgentSession | Refusal>;
  get(call: Call, id: string): Promise<AgentSession | Refusal>;
  /** The newest first. A page is short where very many others are in between. */
  list(call: Call, filter: AgentSessionList, page: PageRequest): Promise<Page<AgentSession> | Refusal>;
  /** With all below it. It has no effect any more once this is fulfilled, on other replicas after half a second at most. */
  end(call: Call, id: string): Promise<AgentSession | Refusal>;
  /** All of an owner that the caller may end. Returns how many there were; refuses a caller that could make none for this owner. */
  endOf(call: Call, owner: string): Promise<number | Refusal>;
  /** The account of the owner is suspended, gone or signed out. Returns how many there were. */
  endByOwnerSignal(owner: string): Promise<number>;
}

export interface AgentSessionsParts {
  store: Pick<Store, 'integration' | 'addAgentSession' | 'agentSession' | 'agentSessions' | 'endAgentSessions'>;
  callerCache: Pick<CallerCache, 'sessionsEnded'>;
  /** Waits for the other replicas. */
  untilApplied: Cache['untilApplied'];
  /** Calls that run may have to end. */
  callersChanged: () => void;
  access: Access;
  signer: Pick<JwtSigner, 'sign'>;
  /** The issuer of JWTs; those for this audience authenticate here. */
  publicUrl: string;
  telemetry: Pick<Telemetry, 'agentSessionMade' | 'agentSessionsEnded'>;
  clock: Pick<Clock, 'now'>;
}

/** Of one caller, at a time. */
const MOST_LIVE = 10_000;
/** With so many, its sessions make no more: several agents together would leave it no place for another one. */
const MOST_LIVE_FOR_SESSIONS = 9_000;
/** Of one session, at a time: on both levels below it there are fewer than its caller's sessions may be. */
const MOST_BELOW = 90;
/** Sessions that are ended in one commit. */
const AT_ONCE = 200;

export function createAgentSessions(parts: AgentSessionsParts): AgentSessions {
  const { store, callerCache, untilApplied, callersChanged, access, signer, publicUrl, telemetry, clock } = parts;

  const absent = (id: string) => refuse({ code: 'not_found', what: 'session', id });

  async function unknownIntegration(integrations: readonly string[]): Promise<Refusal | undefined> {
    for (const id of integrations)
      if (!(await store.integration(id))) return refuse({ code: 'not_found', what: 'integration', id });
    return undefined;
  }

  /** Ends them and tells, here at once; the other replicas are waited for by who calls. */
  async function ended(
    ids: readonly string[],
    reason: SessionEnd,
    audit: Parameters<Store['endAgentSessions']>[2],
  ): Promise<number> {
    const all = await store.endAgentSessions(ids, reason, audit);
    if (all.length === 0) return 0;
    callerCache.sessionsEnded(all);
    callersChanged();
    telemetry.agentSessionsEnded(reason, all.length);
    return all.length;
  }

  /** One entry for each session, so that each can be found by its purpose and its agent. */
  async function endAll(
    owner: string,
    reason: SessionEnd,
    may: (session: AgentSession) => boolean,
    entry: (session: AgentSession) => Parameters<Store['endAgentSessions']>[2],
  ): Promise<number> {
    let count = 0;
    for (let after: string | undefined; ; ) {
      const page = await store.agentSessions({ owner, liveAt: clock.now() }, { limit: AT_ONCE, after });
      const counts = page.data.filter(may).map((session) => ended([session.id], reason, entry(session)));
      for (const each of await Promise.all(counts)) count += each;
      if (page.next === null) return count;
      after = page.next;
    }
  }

  /**
   * A JWT for the broker is known by its digest, like an opaque token: nothing that is only signed authenticates here. One for
   * another audience has the digest of a secret that was never told.
   */
  async function withToken(session: AgentSession, opaque: string): Promise<CreatedAgentSession> {
    if (session.audience === null) return { session, token: opaque };
    const token = await signer.sign('at+jwt', sessionClaims(session, publicUrl));
    return { session: session.audience === publicUrl ? { ...session, digest: digest(token) } : session, token };
  }

  const subjectOf = (session: AgentSession, detail = session.id) => ({
    integration: session.integrations.length === 1 ? session.integrations[0]! : '*',
    owner: session.owner,
    detail,
    session,
  });

  return {
    async create(call, request) {
      const { principal } = call;
      const { caller, credential, session: parent } = principal;
      const missing = missingFor(caller.permissions, request);
      if (missing) return access.deniedDelegation(call, missing);
      // What someone may do in the console ends with their visit: nothing that lasts is within it.
      if (credential.kind === 'console')
        return refuse({ code: 'invalid_request', detail: 'Sessions are made by callers: use a key of one.' });
      const audience = missingAudience(principal, request, publicUrl);
      if (audience !== undefined) {
        const { owner, integrations } = request;
        return access.deniedDelegation(call, { action: 'sessions', integration: integrations[0]!, owner, audience });
      }
      const ttl = ttlOf(principal, request);
      const issues = [...requestIssues(request, principal, publicUrl), ...(typeof ttl === 'number' ? [] : [ttl])];
      if (typeof ttl !== 'number' || issues.length > 0)
        return refuse({ code: 'invalid_request', detail: 'the session has invalid settings', issues });
      const unknown = await unknownIntegration(request.integrations);
      if (unknown) return unknown;

      const now = clock.now();
      const id = newId('ses', now);
      // A workload presents a new token often, and its binding stays; a key or a session ends.
      const endsAt = credential.kind === 'workload' ? Number.POSITIVE_INFINITY : (credential.expiresAt ?? Infinity);
      const maxUses = request.maxUses ?? null;
      const opaque = newSessionToken();
      const endsOn = Math.min(now + ttl * 1_000, endsAt);
      const unsigned: AgentSession = {
        id,
        digest: digest(opaque),
        callerId: caller.id,
        createdWith: madeWith(principal),
        parentId: parent?.id ?? null,
        ancestors: parent ? [...parent.ancestors, parent.id] : [],
        ...limitsOf(request, principal),
        purpose: request.purpose,
        agent: request.agent ?? parent?.agent ?? null,
        maxUses,
        audience: request.audience ?? null,
        counted: [...(parent?.counted ?? []), ...(maxUses === null ? [] : [id])],
        createdAt: now,
        // A JWT says it in whole seconds.
        expiresAt: request.audience === undefined ? endsOn : Math.floor(endsOn / 1_000) * 1_000,
        uses: 0,
        lastUsedAt: null,
        endedAt: null,
        endReason: null,
      };
      const { session, token } = await withToken(unsigned, opaque);
      const issuer = session.agent?.issuer;
      const what = `${id} ${session.actions.join(' ')}${issuer === undefined ? '' : `; agent of ${issuer}`}`;
      const by = access.record(call, 'session.created', subjectOf(session, what));
      const maker = {
        callerId: caller.id === ADMIN_ID ? undefined : caller.id,
        keyId: keyOfMaker(session),
        mostLive: parent ? MOST_LIVE_FOR_SESSIONS : MOST_LIVE,
        mostBelow: MOST_BELOW,
      };
      const added = await store.addAgentSession(session, maker, by);
      if (added === 'maker_gone') return refuse({ code: 'unauthenticated', reason: parent ? 'ended' : 'unknown' });
      if (added === 'too_many')
        return refuse({
          code: 'invalid_request',
          detail: `There are ${maker.mostLive} sessions of this caller that can be used, or ${MOST_BELOW} that this session has made: end some, or make them shorter.`,
        });
      telemetry.agentSessionMade();
      return { session, token };
    },

    async get(call, id) {
      const session = await store.agentSession(id);
      return session && (maySee(call, session) || readsAll(call)) ? session : absent(id);
    },

    async list(call, { owner, callerId, isLive }, page) {
      const seenBy = readsAll(call) ? undefined : viewerOf(call);
      const own = call.principal.session?.callerId;
      const filter = { owner, callerId: callerId ?? own, seenBy, ...(isLive && { liveAt: clock.now() }) };
      return store.agentSessions(filter, page);
    },

    async end(call, id) {
      const session = await store.agentSession(id);
      if (!session) return absent(id);
      if (!mayEnd(call, session)) {
        if (!readsAll(call)) return absent(id);
        return access.deniedDelegation(call, { action: 'admin', integration: '*', owner: '*' });
      }
      if (statusOfSession(session, clock.now()) === 'expired' || session.endedAt !== null) return session;
      await ended([id], 'revoked', access.record(call, 'session.ended', subjectOf(session)));
      await untilApplied();
      return (await store.agentSession(id)) ?? session;
    },

    async endOf(call, owner) {
      const entry = (session: AgentSession) => access.record(call, 'session.ended', subjectOf(session));
      const count = await endAll(owner, 'revoked', (session) => mayEnd(call, session), entry);
      if (count > 0) await untilApplied();
      else if (!mayMakeFor(call, owner))
        return access.deniedDelegation(call, { action: 'sessions', integration: '*', owner });
      return count;
    },

    async endByOwnerSignal(owner) {
      const entry = (session: AgentSession) =>
        access.recordSystem('session.ended', subjectOf(session, `${session.id} owner_signal`));
      return endAll(owner, 'owner_signal', () => true, entry);
    },
  };
}

export const readsAll = ({ principal }: Call): boolean => allows(principal.caller.permissions, 'admin:read', '*', '*');

/** As `maySee` says of one. */
const viewerOf = ({ principal: { caller, session } }: Call): SessionViewer =>
  session ? { session: session.id } : { callerId: caller.id, scopes: scopesOf(caller.permissions, 'sessions') };

export function maySee({ principal }: Call, session: AgentSession): boolean {
  const { caller, session: own } = principal;
  if (own) return session.id === own.id || session.ancestors.includes(own.id);
  if (session.callerId === caller.id) return true;
  const { owner } = session;
  return session.integrations.every((integration) =>
    coversWanted(caller.permissions, { action: 'sessions', integration, owner }),
  );
}

/** At some integration. */
const mayMakeFor = ({ principal }: Call, owner: string): boolean =>
  scopesOf(principal.caller.permissions, 'sessions').some(({ owners }) => owners.some((one) => matches(one, owner)));

const mayEnd = (call: Call, session: AgentSession): boolean =>
  maySee(call, session) || allows(call.principal.caller.permissions, 'admin', '*', '*');
