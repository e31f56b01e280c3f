// Entries of the audit log as the buffer stores them: allowed reads of connections in batches, anything else as it is.
import type { AuditEntry } from '../../src/domain/audit.ts';
import { batchesOf, isReadAction, type ReadsInCommon, storedAs } from '../../src/domain/audit-reads.ts';

const isRead = ({ action, outcome, integration, owner, connectionId, detail, changed }: AuditEntry): boolean =>
  isReadAction(action) &&
  outcome === 'ok' &&
  integration !== null &&
  owner !== null &&
  connectionId !== null &&
  detail === null &&
  changed === null;

/** A batch has the id of its first read. */
export function storedReads(entries: readonly AuditEntry[]): AuditEntry[] {
  const groups = new Map<string, ReadsInCommon>();
  const reads = entries.filter(isRead).map((entry) => {
    const { id, owner, connectionId, detail, changed, at, requestId, clientRequestId, traceId, count, ...rest } = entry;
    const key = JSON.stringify(rest);
    const common = groups.get(key) ?? rest;
    groups.set(key, common);
    const read = { at, owner: owner!, connectionId: connectionId!, requestId, clientRequestId, traceId, count };
    return { id, common, read };
  });
  const columns = {
    common: reads.map(({ common }) => common),
    at: reads.map(({ read }) => read.at),
    owner: reads.map(({ read }) => read.owner),
  };
  const batches = batchesOf(columns, 0, reads.length).map((places) => places.map((place) => reads[place]!));
  return [
    ...entries.filter((entry) => !isRead(entry)),
    ...batches.map((batch) =>
      storedAs({ common: batch[0]!.common, reads: batch.map(({ read }) => read) }, batch[0]!.id),
    ),
  ];
}
