// Reads in the audit log: those of one caller within a few seconds are stored as one batch, an entry whose `detail` has them.
// What lists the log returns them one by one. See `docs/decisions/0038`.
import type { AuditEntry, StoredAuditEntry } from './audit.ts';
import type { AuditAction } from './audit-actions.ts';
import { AUDIT_BATCH_SPAN_MS, DAY_MS } from './time-limits.ts';

/** What a connection is read for: the actions that come by the thousand. */
export const READ_ACTIONS = ['token.read', 'proxy.called', 'connection.read'] as const satisfies AuditAction[];

/** Reads of one batch: as many as two digits name, and no more text than a page of the log should have to parse. */
export const MAX_READS = 64;

/** What the reads of a batch have in common. A batch says `*` as its owner: who may read the log of some owners only sees none. */
const COMMON = [
  'action',
  'actor',
  'keyId',
  'subject',
  'integration',
  'address',
  'session',
  'agentId',
  'agentName',
  'purpose',
] as const satisfies (keyof AuditEntry)[];

/** One read of a batch. Its time is in milliseconds after that of the batch. */
type Read = [
  after: number,
  owner: string,
  connectionId: string,
  requestId: string | null,
  clientRequestId: string | null,
  traceId: string | null,
  count: number,
];

type Classified = Pick<StoredAuditEntry, 'action' | 'outcome' | 'owner' | 'connectionId' | 'detail'>;

const isReadAction = (action: string): boolean => (READ_ACTIONS as readonly string[]).includes(action);

/** Whether the entry stands for reads of several connections. */
export const isBatch = ({ action, outcome, owner, connectionId, detail }: Classified): boolean =>
  connectionId === null &&
  owner === '*' &&
  outcome === 'ok' &&
  detail?.startsWith('[') === true &&
  isReadAction(action);

const isRead = ({ action, outcome, integration, owner, connectionId, detail, changed }: AuditEntry): boolean =>
  connectionId !== null &&
  owner !== null &&
  integration !== null &&
  outcome === 'ok' &&
  detail === null &&
  changed === null &&
  isReadAction(action);

/**
 * Groups of entries of which each is stored as one: reads that have a caller, an integration and their time in common, and any
 * other entry alone. Reads of a group are neighbours by their owners, so that the pages of the index that find them are few.
 */
export function groupReads(entries: readonly AuditEntry[]): AuditEntry[][] {
  const alike = new Map<string, AuditEntry[]>();
  const groups: AuditEntry[][] = [];
  /** Most reads are of the caller of the one before, which is quicker to see than to look up. */
  let last: AuditEntry[] | undefined;
  for (const entry of entries) {
    if (!isRead(entry)) {
      groups.push([entry]);
      continue;
    }
    if (!last || !haveInCommon(entry, last[0]!)) {
      const key = `${spanOf(entry)}\n${COMMON.map((name) => entry[name]).join('\n')}`;
      last = alike.get(key) ?? [];
      alike.set(key, last);
    }
    last.push(entry);
  }
  for (const reads of alike.values()) {
    if (reads.length > MAX_READS) reads.sort((a, b) => (a.owner! < b.owner! ? -1 : a.owner! > b.owner! ? 1 : 0));
    for (let i = 0; i < reads.length; i += MAX_READS) groups.push(reads.slice(i, i + MAX_READS));
  }
  return groups;
}

const spanOf = ({ at }: AuditEntry): number => Math.floor(at / AUDIT_BATCH_SPAN_MS);

const haveInCommon = (a: AuditEntry, b: AuditEntry): boolean =>
  spanOf(a) === spanOf(b) && COMMON.every((name) => a[name] === b[name]);

/** What is stored of a group: the entry itself, or a batch of its reads. */
export function storedAs(group: readonly AuditEntry[]): AuditEntry {
  const reads = group.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const [first] = reads as [AuditEntry, ...AuditEntry[]];
  if (reads.length === 1) return first;
  const at = reads.reduce((least, read) => Math.min(least, read.at), first.at);
  const detail = reads.map(
    ({ at: readAt, owner, connectionId, requestId, clientRequestId, traceId, count }): Read => [
      readAt - at,
      owner!,
      connectionId!,
      requestId,
      clientRequestId,
      traceId,
      count,
    ],
  );
  return {
    ...first,
    at,
    owner: '*',
    connectionId: null,
    requestId: null,
    clientRequestId: null,
    traceId: null,
    detail: JSON.stringify(detail),
    count: reads.reduce((sum, { count }) => sum + count, 0),
  };
}

/** The entries that a stored one stands for, the newest first. Their ids are that of the batch with their numbers. */
export function entriesOf(stored: StoredAuditEntry): StoredAuditEntry[] {
  if (!isBatch(stored)) return [stored];
  const reads = parsed(stored.detail!);
  // Only the verification of the log can say what has happened to it.
  if (!reads) return [stored];
  return reads
    .map(
      ([after, owner, connectionId, requestId, clientRequestId, traceId, count], i): StoredAuditEntry => ({
        ...stored,
        id: `${stored.id}${String(i).padStart(2, '0')}`,
        at: stored.at + after,
        owner,
        connectionId,
        requestId,
        clientRequestId,
        traceId,
        detail: null,
        count,
      }),
    )
    .reverse();
}

function parsed(detail: string): Read[] | undefined {
  try {
    const reads: unknown = JSON.parse(detail);
    return Array.isArray(reads) && reads.every(Array.isArray) ? (reads as Read[]) : undefined;
  } catch {
    return undefined;
  }
}

/** A value as it is in the text of a batch; `prefix`: the beginning of one. */
export const textInBatch = (value: string, isPrefix = false): string =>
  isPrefix ? JSON.stringify(value).slice(0, -1) : JSON.stringify(value);

/** Weeks since the epoch, by which the rows are kept that find the batches of an owner. */
export const weekOf = (at: number): number => Math.floor(at / (7 * DAY_MS));

/** The owners that have reads in a batch, in their order; none in any other entry. */
export function ownersIn(stored: Classified): string[] {
  const reads = isBatch(stored) ? parsed(stored.detail!) : undefined;
  return [...new Set(reads?.map(([, owner]) => owner))].sort();
}
