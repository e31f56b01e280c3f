// What strangers do, in the audit log and the log: counted by the minute, of a bounded number of kinds, so that neither grows
// with the number of their requests.
import type { AuditEntry } from '../../domain/audit.ts';
import type { AuditAction } from '../../domain/audit-actions.ts';
import { AUDIT_FAILURE_WINDOW_MS } from '../../domain/time-limits.ts';
import type { Clock, Logger } from '../../ports/index.ts';
import type { AuditBuffer } from './log/audit-buffer.ts';

/** Entries of one minute that tell strangers apart. What comes beyond is counted by its reason alone. */
const MAX_TOLD_APART = 20;
/** Of these there are few; beyond, all is counted in one entry. */
const MAX_REASONS = 20;
/** Lines of the log in a minute. */
const MAX_LINES = 10;

/** What is known of a request that no caller has made. */
export interface StrangeRequest {
  action: AuditAction;
  /** A code of ours. */
  reason: string;
  /** Where the reason is that an issuer cannot be reached: what went wrong. Told to operators only. */
  why?: string | undefined;
  /** What was presented, as far as it may be shown: bounded, and no secret. */
  presented: string | null;
  integration: string | null;
  address: string | null;
}

interface Parts {
  auditBuffer: Pick<AuditBuffer, 'note'>;
  /** Makes the entry of what was counted. */
  entry: (request: StrangeRequest, requestId: AuditEntry['requestId']) => AuditEntry;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
}

interface Counted {
  request: StrangeRequest;
  requestId: string | null;
  count: number;
}

export interface StrangerLog {
  note(request: StrangeRequest, requestId: string): void;
  /** Makes entries of what was counted, without waiting for the end of the minute. */
  flush(): void;
}

export function createStrangerLog({ auditBuffer, entry, clock, log }: Parts): StrangerLog {
  let counted = new Map<string, Counted>();
  /** Of this minute, also those that have become entries already. */
  let told = new Set<string>();
  let made = 0;
  let lines = 0;
  let suppressed = 0;
  let timer: NodeJS.Timeout | undefined;
  let ends = Number.NEGATIVE_INFINITY;

  const keyOf = ({ action, reason, why, presented, integration, address }: StrangeRequest) =>
    JSON.stringify([action, reason, why, presented, integration, address]);

  /** Where there are too many kinds, without what tells them apart. */
  function placeOf(request: StrangeRequest): StrangeRequest {
    if (told.has(keyOf(request)) || told.size < MAX_TOLD_APART) return request;
    const alike = { ...request, why: undefined, presented: null, integration: null, address: null };
    if (told.has(keyOf(alike)) || told.size < MAX_TOLD_APART + MAX_REASONS) return alike;
    return { ...alike, action: 'authentication.failed', reason: 'other' };
  }

  function logFirst(request: StrangeRequest, requestId: string): void {
    if (lines++ >= MAX_LINES) return void suppressed++;
    log.warn({ ...request, request_id: requestId }, 'a request of a stranger was refused: counted for the audit log');
  }

  function flush(): void {
    for (const { request, requestId, count } of counted.values())
      auditBuffer.note(`stranger ${++made}`, () => ({ ...entry(request, requestId), count }));
    counted = new Map();
  }

  function endMinute(): void {
    clearTimeout(timer);
    timer = undefined;
    flush();
    if (suppressed > 0) log.warn({ suppressed }, 'more requests of strangers were refused, of other kinds');
    told = new Set();
    [lines, suppressed] = [0, 0];
  }

  return {
    note(request, requestId) {
      // A timer may be late, or not fire under a clock that a test sets.
      if (told.size > 0 && clock.monotonic() >= ends) endMinute();
      if (told.size === 0) ends = clock.monotonic() + AUDIT_FAILURE_WINDOW_MS;
      const place = placeOf(request);
      const key = keyOf(place);
      if (!told.has(key)) logFirst(place, requestId);
      told.add(key);
      const known = counted.get(key);
      if (known) known.count++;
      else counted.set(key, { request: place, requestId: place === request ? requestId : null, count: 1 });
      timer ??= setTimeout(endMinute, AUDIT_FAILURE_WINDOW_MS).unref();
    },
    flush,
  };
}
