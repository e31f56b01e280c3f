// Rows that something else than a broker has changed, or that another key ring made: counted each time that one is read,
// logged and recorded once.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import type { Logger, Store, Telemetry } from '../../ports/index.ts';
import type { Access } from './access.ts';

const MAX_KNOWN = 10_000;

interface Parts {
  store: Pick<Store, 'appendAudit'>;
  access: Pick<Access, 'recordSystem'>;
  telemetry: Pick<Telemetry, 'rowRefused'>;
  log: Logger;
}

/** Never throws. `id` is no secret. */
export function refusedRows({ store, access, telemetry, log }: Parts): (table: string, id: string) => void {
  const known = new LRUCache<string, true>(upTo(MAX_KNOWN));
  return (table, id) => {
    telemetry.rowRefused(table);
    const row = `${table} ${id}`;
    if (known.has(row)) return;
    known.set(row, true);
    log.error(
      { table, id },
      'row refused: it was changed by something else than a broker, or is of another key ring. See "A row was refused" in the runbook',
    );
    store.appendAudit([access.recordSystem('row.refused', { detail: row }, 'failed')]).catch((error: unknown) => {
      log.error({ err: error, table, id }, 'row refused: the audit entry was not written');
    });
  };
}
