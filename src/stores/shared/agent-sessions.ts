// Agent sessions, for the tables of any dialect: which are live, which end with something, and whether a use can be counted.
import { and, type Column, eq, gt, inArray, isNull, lt, not, notInArray, or, type SQL, sql } from 'drizzle-orm';
import type { AgentSession, SessionEnd } from '../../domain/agent-session.ts';
import type { Caller } from '../../domain/caller.ts';
import type { AgentSessionFilter, SessionViewer, StoreChange } from '../../ports/index.ts';
import { isWithin, startsWith } from './filters.ts';

type Columns<Name extends keyof AgentSession> = Record<Name, Column>;

/** Used up or not. */
export const isLiveSession = ({ endedAt, expiresAt }: Columns<'endedAt' | 'expiresAt'>, now: number): SQL | undefined =>
  and(isNull(endedAt), gt(expiresAt, now));

/** The members of a list of texts, as rows with the column `value`: each dialect has a function for that. */
export type MembersOf = (list: Column) => SQL;

/** Of those that an index finds … */
export const inSessionRange = (
  sessions: Columns<'id' | 'owner' | 'callerId'>,
  { owner, callerId }: AgentSessionFilter,
  after: string | undefined,
): SQL | undefined =>
  and(
    owner === undefined ? undefined : eq(sessions.owner, owner),
    callerId === undefined ? undefined : eq(sessions.callerId, callerId),
    after === undefined ? undefined : lt(sessions.id, after),
  );

type ListedColumns = Columns<'id' | 'owner' | 'callerId' | 'ancestors' | 'integrations' | 'endedAt' | 'expiresAt'>;

/** … those that are listed, for which each is looked at. */
export const isListedSession = (
  sessions: ListedColumns,
  { seenBy, liveAt }: AgentSessionFilter,
  membersOf: MembersOf,
): SQL | undefined =>
  and(
    seenBy && isSeenBy(sessions, seenBy, membersOf),
    liveAt === undefined ? undefined : isLiveSession(sessions, liveAt),
  );

/** In the condition, and not afterwards: a page that hides rows tells by its length that they are there. */
function isSeenBy(
  { id, owner, callerId, ancestors, integrations }: ListedColumns,
  viewer: SessionViewer,
  membersOf: MembersOf,
): SQL | undefined {
  const member = sql<string>`value`.as('value');
  if ('session' in viewer) {
    const { session } = viewer;
    return or(eq(id, session), sql`exists (select 1 from ${membersOf(ancestors)} where ${member} = ${session})`);
  }
  const isCovered = isWithin({ integration: member, owner }, viewer.scopes)!;
  return or(
    eq(callerId, viewer.callerId),
    viewer.scopes.length === 0
      ? undefined
      : sql`not exists (select 1 from ${membersOf(integrations)} where ${not(isCovered)})`,
  );
}

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
