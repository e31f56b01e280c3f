// The audit log as NDJSON: one entry in each line, as the API has it; read page by page while it is sent.
import type { AuditLog, Call } from '../../../../broker/audit/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { AuditFilter } from '../../../../ports/index.ts';
import { presentAuditEntry } from '../../../presenters/audit.ts';

/** Entries of one download. */
export const MOST_EXPORTED = 100_000;
const PAGE = 500;

/**
 * The lines of the entries that fit, the newest first. The last line of one that ends early is no entry: `{"truncated": true,
 * "to": …}`, where `to` is the filter to go on with.
 */
export function exportedEntries(
  auditLog: AuditLog,
  call: Call,
  filter: AuditFilter,
  most = MOST_EXPORTED,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const line = (value: object) => `${JSON.stringify(value)}\n`;
  let after: string | undefined;
  let sent = 0;
  let lastAt = filter.to;

  return new ReadableStream<Uint8Array>({
    /** Called when the client has taken what was sent: no more than one page is in memory. */
    async pull(controller) {
      // An empty page is not the end, and a chunk of nothing would not be asked for again.
      for (;;) {
        const found = await auditLog(call, filter, { limit: Math.min(PAGE, most - sent), after });
        if (found instanceof Refusal) return controller.close();
        const { data, next } = found;
        sent += data.length;
        lastAt = data.at(-1)?.at ?? lastAt;
        const isOver = next === null || sent >= most;
        const lines = data.map((entry) => line(presentAuditEntry(entry)));
        if (next !== null && isOver)
          lines.push(line({ truncated: true, to: lastAt === undefined ? null : new Date(lastAt + 1).toISOString() }));
        if (lines.length > 0) controller.enqueue(encoder.encode(lines.join('')));
        if (isOver) return controller.close();
        after = next;
        if (lines.length > 0) return;
      }
    },
  });
}
