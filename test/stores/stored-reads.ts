// Entries of the audit log as the buffer stores them: allowed reads of connections in batches, anything else as it is.
import type { AuditEntry } from '../../src/domain/audit.ts';
import { batchesOf, isReadAction, type NotedRead, type ReadsOfCaller, storedAs } from '../../src/domain/audit-reads.ts';

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
  const groups = new Map<string, ReadsOfCaller>();
  const ids = new Map<NotedRead, string>();
  for (const entry of entries.filter(isRead)) {
    const { id, at, owner, connectionId, requestId, clientRequestId, traceId, count, detail, changed, ...common } =
      entry;
    const read = { at, owner: owner!, connectionId: connectionId!, requestId, clientRequestId, traceId, count };
    ids.set(read, id);
    const key = JSON.stringify(common);
    const group = groups.get(key) ?? { common, reads: [] };
    group.reads.push(read);
    groups.set(key, group);
  }
  const batches = [...groups.values()].flatMap(batchesOf);
  return [
    ...entries.filter((entry) => !isRead(entry)),
    ...batches.map((batch) => storedAs(batch, ids.get(batch.reads[0]!)!)),
  ];
}
