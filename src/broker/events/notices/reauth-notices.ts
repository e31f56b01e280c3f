// Tells owners that a grant ends whatever the broker does, a week and a day before: once for each over all replicas.
import { DAY_MS, REAUTH_NOTICE_MS } from '../../../domain/time-limits.ts';
import type { Clock, EndingConnection, EventStore } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';

interface Parts {
  store: Pick<EventStore, 'endingConnections' | 'putReauthNotice'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Pick<Clock, 'now'>;
  /** Between two batches; false: stop. */
  rest: () => Promise<boolean>;
}

/** A few milliseconds of the database; SQLite runs nothing else meanwhile. */
const BATCH = 200;
const [FIRST_MS] = REAUTH_NOTICE_MS;

/** How many notices are due, counted from 1. */
const stageAt = (dueAt: number, now: number): number => REAUTH_NOTICE_MS.filter((ms) => dueAt <= now + ms).length;

/**
 * What is to be noted; undefined: nothing. The end of some grants moves with every refresh: such an owner is told once, and not
 * again until a refresh has moved the end by more than the first notice is ahead of it.
 */
function noticeOf({ dueAt, told }: EndingConnection, now: number): { stage: number; isTold: boolean } | undefined {
  const stage = stageAt(dueAt, now);
  if (dueAt <= now || stage === 0) return undefined;
  if (!told || dueAt - told.dueAt >= FIRST_MS || told.stage < stage) return { stage, isTold: true };
  return Math.abs(dueAt - told.dueAt) >= DAY_MS ? { stage: told.stage, isTold: false } : undefined;
}

export async function tellReauthDue({ store, access, clock, rest }: Parts): Promise<void> {
  const now = clock.now();
  let after: EndingConnection | undefined;
  do {
    const ending = await store.endingConnections(now + FIRST_MS, after, BATCH);
    for (const one of ending) {
      const notice = noticeOf(one, now);
      if (!notice) continue;
      const { id: connectionId, integration, owner, dueAt } = one;
      const detail = new Date(dueAt).toISOString();
      const audit = notice.isTold
        ? access.recordSystem('connection.reauth_due', { integration, owner, connectionId, detail })
        : undefined;
      await store.putReauthNotice(one, notice.stage, audit);
    }
    after = ending.length === BATCH ? ending.at(-1) : undefined;
  } while (after && (await rest()));
}
