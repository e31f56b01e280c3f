// Verifying the audit log, for an operator who has the database and the keys.
import { type AuditVerification, verifyAudit } from '../broker/maintenance/index.ts';
import { DAY_MS } from '../domain/time-limits.ts';
import type { Logger } from '../ports/index.ts';
import type { Config } from './config.ts';
import { openUsedKeyRing } from './keys.ts';
import { systemClock } from './system-clock.ts';
import { openUsedStore } from './used-store.ts';

/** Rejects with `SetupError`, also where no broker has used the database, or with `StoreError`. */
export async function runAuditVerification(
  config: Config,
  log: Logger,
  expected: { id: string; hash: string } | undefined,
): Promise<AuditVerification> {
  const { store } = await openUsedStore(config, log);
  try {
    const vault = await openUsedKeyRing(config, log);
    const { auditDays } = config;
    const keptSince = auditDays === null ? 0 : systemClock.now() - auditDays * DAY_MS;
    return await verifyAudit({ store, vault, expected, keptSince });
  } finally {
    await store.close();
  }
}
