// Agent sessions, for the tables of any dialect: which are live, which end with something, and whether a use can be counted.
import { and, type Column, eq, gt, inArray, isNull, lt, notInArray, or, type SQL } from 'drizzle-orm';
import type { AgentSession, SessionEnd } from '../../domain/agent-session.ts';
import type { Caller } from '../../domain/caller.ts';
import type { AgentSessionFilter, StoreChange } from '../../ports/index.ts';
import { startsWith } from './filters.ts';

type Columns<Name extends keyof AgentSession> = Record<Name, Column>;

/** Used up or not. */
export const isLiveSession = ({ endedAt, expiresAt }: Columns<'endedAt' | 'expiresAt'>, now: number): SQL | undefined =>
  and(isNull(endedAt), gt(expiresAt, now));

export const matchesAgentSession = (
  sessions: Columns<'id' | 'owner' | 'callerId' | 'parentId' | 'endedAt' | 'expiresAt'>,
  { owner, callerId, within, liveAt }: AgentSessionFilter,
  after: string | undefined,
): SQL | undefined =>
  and(
    owner === undefined ? undefined : eq(sessions.owner, owner),
    callerId === undefined ? undefined : eq(sessions.callerId, callerId),
    within === undefined ? undefined : or(eq(sessions.id, within), eq(sessions.parentId, within)),
    liveAt === undefined ? undefined : isLiveSession(sessions, liveAt),
    after === undefined ? undefined : lt(sessions.id, after),
  );

/** Sessions that a caller made, or that were made with these of its keys. */
export const madeBy = (
  sessions: Columns<'callerId' | 'createdWith'>,
  callerId: string,
  keyIds?: string[],
): SQL | undefined =>
  and(eq(sessions.callerId, callerId), keyIds === undefined ? undefined : inArray(sessions.createdWith, keyIds));

/** Sessions of a caller that were made with a workload binding that it has no more. */
export const madeWithLostBinding = (
  sessions: Columns<'callerId' | 'createdWith'>,
  { id, workloads }: Pick<Caller, 'id' | 'workloads'>,
): SQL | undefined => {
  const bindings = workloads.map((workload) => workload.id);
  return and(
    eq(sessions.callerId, id),
    startsWith(sessions.createdWith, 'wl_'),
    notInArray(sessions.createdWith, bindings),
  );
};

export const endedBy = (endReason: SessionEnd, endedAt: number) =>
  ({ endReason, endedAt }) as const satisfies Partial<AgentSession>;

export const sessionsEnded = (ids: readonly string[]): StoreChange[] =>
  ids.map((id) => ({ kind: 'session_ended', id }));

/** Whether one more use of all of them can be counted. `found`: those of `ids` that are there. */
export function useOf(
  ids: readonly string[],
  found: readonly Pick<AgentSession, 'id' | 'endedAt' | 'expiresAt' | 'uses' | 'maxUses'>[],
  now: number,
): 'counted' | 'used_up' | 'ended' {
  if (found.length < new Set(ids).size) return 'ended';
  if (found.some(({ endedAt, expiresAt }) => endedAt !== null || expiresAt <= now)) return 'ended';
  return found.some(({ uses, maxUses }) => maxUses !== null && uses >= maxUses) ? 'used_up' : 'counted';
}

/** By their ids, which keys of callers do not have. */
export const isSessionId = (id: string): boolean => id.startsWith('ses_');
