// Connect sessions, for the tables of any dialect: whether one may begin or be completed, which are open, and their lists.
import { and, type Column, eq, gt, gte, inArray, isNull, lte, not, notInArray, or, type SQL } from 'drizzle-orm';
import { type Caller, scopesOf } from '../../domain/caller.ts';
import { type ConnectSession, type Flow, RETRIED } from '../../domain/integration.ts';
import { SESSION_TTL_MS } from '../../domain/time-limits.ts';
import type { ConnectSessionFilter } from '../../ports/index.ts';
import { isWithin, startsWith } from './filters.ts';

/** Of the partial indexes. */
const OPEN = ['pending', 'awaiting_finish'] as const;

/** Of one session, the newest: who has its link can begin flows in any number, and need not be a person. */
export const MOST_FLOWS = 20;

/** Undefined: it may. */
export function whyNotBegin(
  session: ConnectSession | undefined,
  flow: Pick<Flow, 'browserDigest'>,
  now: number,
): 'gone' | 'other_browser' | undefined {
  if (session?.status !== 'pending' || session.expiresAt <= now) return 'gone';
  const isOther = session.browserDigest !== null && session.browserDigest !== flow.browserDigest;
  return isOther ? 'other_browser' : undefined;
}

/** A two-phase session is never completed but by its finish, and none at another integration than was chosen last. */
export const isCompletable = (
  session: Pick<ConnectSession, 'finish' | 'status' | 'integration'> | undefined,
  integration: string,
): boolean =>
  session?.status === (session?.finish ? 'awaiting_finish' : 'pending') && session?.integration === integration;

export const isOpenSession = ({ status }: Record<'status', Column>): SQL => inArray(status, [...OPEN]);

/** Those that failed, and that their browser may try again: see `reopenSession`. */
export const isRetriable = (
  { status, error, returnUrl, expiresAt }: Record<'status' | 'error' | 'returnUrl' | 'expiresAt', Column>,
  now: number,
): SQL | undefined => and(eq(status, 'failed'), inArray(error, [...RETRIED]), isNull(returnUrl), gt(expiresAt, now));

export const cancelled = {
  status: 'cancelled',
  error: null,
  pageError: null,
} as const satisfies Partial<ConnectSession>;

export const completed = {
  status: 'completed',
  error: null,
} as const satisfies Partial<ConnectSession>;

/** Sessions of one integration. Not those whose owner chooses among several: the page names the provider of each. */
export const ofIntegration = (sessions: Record<'integration' | 'integrations', Column>, id: string): SQL | undefined =>
  and(eq(sessions.integration, id), isNull(sessions.integrations));

/** Sessions that a caller created, or that were created with these of its keys. */
export const createdBy = (
  sessions: Record<'createdBy' | 'createdWith', Column>,
  callerId: string,
  keyIds?: string[],
): SQL | undefined =>
  and(eq(sessions.createdBy, callerId), keyIds === undefined ? undefined : inArray(sessions.createdWith, keyIds));

/** Sessions of a caller that it could not create any more: by its permissions, or with a workload binding that it lost. */
export const lostBy = (
  sessions: Record<'integration' | 'owner' | 'createdBy' | 'createdWith', Column>,
  { id, permissions, workloads }: Pick<Caller, 'id' | 'permissions' | 'workloads'>,
): SQL | undefined => {
  // Token exchanges create them too, with `token`.
  const within = (['connections:write', 'token'] as const).flatMap((action) => scopesOf(permissions, action));
  const bindings = workloads.map((workload) => workload.id);
  const isOtherBinding = and(startsWith(sessions.createdWith, 'wl_'), notInArray(sessions.createdWith, bindings));
  return and(eq(sessions.createdBy, id), or(not(isWithin(sessions, within)!), isOtherBinding));
};

type Columns = Record<'id' | 'integration' | 'owner' | 'status' | 'error' | 'returnUrl' | 'expiresAt', Column>;

/** An index has these in the order of their ids. */
export const inSessionRange = (
  sessions: Columns,
  { integration, owner }: ConnectSessionFilter,
  after: string | undefined,
): SQL | undefined =>
  and(
    owner === undefined ? undefined : eq(sessions.owner, owner),
    owner !== undefined || integration === undefined ? undefined : eq(sessions.integration, integration),
    after === undefined ? undefined : gt(sessions.id, after),
  );

export const matchesSession = (
  sessions: Columns,
  { integration, owner, status, within, now }: ConnectSessionFilter,
): SQL | undefined =>
  and(
    integration === undefined ? undefined : eq(sessions.integration, integration),
    owner === undefined ? undefined : eq(sessions.owner, owner),
    within === undefined ? undefined : isWithin(sessions, within),
    hasStatus(sessions, status, now),
  );

function hasStatus(sessions: Columns, wanted: ConnectSessionFilter['status'], now: number): SQL | undefined {
  const { status, expiresAt } = sessions;
  const isOver = and(inArray(status, [...OPEN]), lte(expiresAt, now));
  switch (wanted) {
    case undefined:
      return undefined;
    case 'open':
      return or(and(inArray(status, [...OPEN]), gt(expiresAt, now)), isRetriable(sessions, now));
    case 'pending':
    case 'awaiting_finish':
      return and(eq(status, wanted), gt(expiresAt, now));
    case 'expired':
      return or(eq(status, 'expired'), isOver);
    default:
      return eq(status, wanted);
  }
}
/** What the begin of a flow changes of its session, if anything. */
export function changedByFlow(
  session: ConnectSession,
  flow: Flow,
  binds: boolean,
): Partial<Pick<ConnectSession, 'browserDigest' | 'expiresAt'>> | undefined {
  if (session.browserDigest !== null) return undefined;
  if (binds) return { browserDigest: flow.browserDigest, expiresAt: flow.expiresAt };
  const expiresAt = Math.min(flow.expiresAt, session.createdAt + 2 * SESSION_TTL_MS);
  return expiresAt > session.expiresAt ? { expiresAt } : undefined;
}

export const failedWith = (sessions: Columns, id: string, error: string, now: number): SQL | undefined =>
  and(eq(sessions.id, id), eq(sessions.error, error), isRetriable(sessions, now));

export const failedSince = (
  sessions: Record<'integration' | 'owner' | 'label' | 'status' | 'error' | 'createdAt', Column>,
  { integration, owner, label }: Pick<ConnectSession, 'integration' | 'owner' | 'label'>,
  error: string,
  since: number,
): SQL | undefined =>
  and(
    eq(sessions.owner, owner),
    eq(sessions.integration, integration),
    eq(sessions.label, label),
    eq(sessions.status, 'failed'),
    eq(sessions.error, error),
    gte(sessions.createdAt, since),
  );

/** Those in which the same connection was authorized, whatever for, or is to be for further scopes. */
export const authorizedSince = (
  sessions: Record<'owner' | 'connectionId' | 'isStepUp' | 'status' | 'createdAt', Column>,
  { owner, connectionId }: Pick<ConnectSession, 'owner' | 'connectionId'>,
  since: number,
): SQL | undefined =>
  and(
    eq(sessions.owner, owner),
    eq(sessions.connectionId, connectionId ?? ''),
    or(eq(sessions.isStepUp, true), eq(sessions.status, 'completed')),
    gte(sessions.createdAt, since),
  );
