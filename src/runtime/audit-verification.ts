// Verifying the audit log, for an operator who has the database and the keys.
import { type AuditVerification, verifyAudit } from '../broker/maintenance/index.ts';
import type { Logger } from '../ports/index.ts';
import { openStore } from '../stores/open.ts';
import type { Config } from './config.ts';
import { openKeyRing } from './keys.ts';

/** Rejects with `SetupError` or `StoreError`. */
export async function runAuditVerification(
  config: Config,
  log: Logger,
  expected: { id: string; hash: string } | undefined,
): Promise<AuditVerification> {
  const vault = await openKeyRing(config, log);
  const store = await openStore(config, log);
  try {
    return await verifyAudit({ store, vault, expected });
  } finally {
    await store.close();
  }
}
