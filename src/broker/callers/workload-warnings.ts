// At start: which stored workload bindings this version would not accept any more, so that the operator who upgrades hears of them.
import type { Logger, Store } from '../../ports/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import { workloadWarnings } from './caller-setup.ts';

interface Parts {
  store: Pick<Store, 'callers'>;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  log: Pick<Logger, 'warn'>;
}

/** Logs one warning for each fault of a stored binding. Rejects with `StoreError`. */
export async function warnOfWorkloads({ store, trustedIssuers, log }: Parts): Promise<void> {
  for (const { caller } of await store.callers())
    for (const { path, message } of await workloadWarnings(caller, trustedIssuers))
      log.warn({ caller: caller.id, name: caller.name, at: path }, `workload binding: ${message}`);
}
