// Reads in the audit log: those of one caller within a few seconds are stored as one batch, an entry whose `detail` has them.
// What lists the log returns them one by one. See `docs/decisions/0038`.
import type { AuditEntry, StoredAuditEntry } from './audit.ts';
import type { AuditAction } from './audit-actions.ts';
import { parseJson } from './json.ts';
import { AUDIT_BATCH_SPAN_MS, DAY_MS } from './time-limits.ts';

/** What a connection is read for: the actions that come by the thousand. */
export const READ_ACTIONS = ['token.read', 'proxy.called', 'connection.read'] as const satisfies AuditAction[];

/** Reads of one batch: as many as two digits name, and no more text than a page of the log should have to parse. */
export const MAX_READS = 64;

/** A read as it is noted: what it does not have in common with others of its caller. */
export type NotedRead = Pick<AuditEntry, 'at' | 'requestId' | 'clientRequestId' | 'traceId' | 'count'> & {
  owner: string;
  connectionId: string;
};

/** What the reads of a caller have in common. A batch says `*` as its owner: who may read the log of some owners only sees none. */
export type ReadsInCommon = Omit<AuditEntry, 'id' | 'detail' | 'changed' | keyof NotedRead>;

export interface ReadsOfCaller {
  common: ReadsInCommon;
  reads: NotedRead[];
}

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

/** Whether it is stored in batches, if it is allowed, of a connection, and has no more to tell. */
export const isReadAction = (action: string): boolean => (READ_ACTIONS as readonly string[]).includes(action);

/** Whether the entry stands for reads of several connections. */
export const isBatch = ({ action, outcome, owner, connectionId, detail }: Classified): boolean =>
  connectionId === null &&
  owner === '*' &&
  outcome === 'ok' &&
  detail?.startsWith('[') === true &&
  isReadAction(action);

/** Reads that are to be divided: what each has in common with others, when it was, and its owner. */
export interface DivisibleReads {
  common: ArrayLike<ReadsInCommon>;
  at: ArrayLike<number>;
  owner: ArrayLike<string>;
}

/**
 * Divides the reads from a place up to another into batches, which are lists of places, each of which is stored as one entry. Reads
 * of a batch have the same in common, lie within a few seconds, and are neighbours by their owners, so that the pages of the index
 * that find them are few. They are in the order of their times.
 */
export function batchesOf({ common, at, owner }: DivisibleReads, from: number, to: number): number[][] {
  const callers = new Map<ReadsInCommon, Map<number, number[]>>();
  for (let place = from; place < to; place++) {
    const spans = getOrAdd(callers, common[place]!, () => new Map<number, number[]>());
    getOrAdd(spans, Math.floor(at[place]! / AUDIT_BATCH_SPAN_MS), () => []).push(place);
  }
  const batches: number[][] = [];
  const byOwner = (a: number, b: number) => (owner[a]! < owner[b]! ? -1 : owner[a]! > owner[b]! ? 1 : 0);
  for (const spans of callers.values())
    for (const alike of spans.values()) {
      if (alike.length > MAX_READS) alike.sort(byOwner);
      for (let i = 0; i < alike.length; i += MAX_READS)
        batches.push(alike.slice(i, i + MAX_READS).sort((a, b) => at[a]! - at[b]!));
    }
  return batches;
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** What is stored of a batch: one entry. Its id is to be of the time of its first read. */
export function storedAs({ common, reads }: ReadsOfCaller, id: string): AuditEntry {
  const [first] = reads as [NotedRead, ...NotedRead[]];
  const alike = { id, ...common, changed: null };
  if (reads.length === 1) return { ...alike, ...first, detail: null };
  const detail = reads.map(
    ({ at, owner, connectionId, requestId, clientRequestId, traceId, count }): Read => [
      at - first.at,
      owner,
      connectionId,
      requestId,
      clientRequestId,
      traceId,
      count,
    ],
  );
  return {
    ...alike,
    at: first.at,
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
  const reads = parseJson(detail);
  return Array.isArray(reads) && reads.every(Array.isArray) ? (reads as Read[]) : undefined;
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
