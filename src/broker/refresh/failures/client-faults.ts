// Integrations whose client the provider refuses: told once over all replicas, when it begins and when it ends.
import { CLIENT_FAULT_POLL_MS } from '../../../domain/time-limits.ts';
import type { Logger, Store } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { CircuitBreakers, CircuitKey, RefreshReport } from './circuits/circuit-breaker.ts';

export interface ClientFaults {
  /** What a request came to. Never throws; no one waits for the store. */
  note(key: CircuitKey, report: RefreshReport): void;
  /** Reads, now and then, which integrations are known to be at fault: other processes may have found it. */
  start(): Promise<void>;
  /** Fulfilled when nothing is being written any more. */
  stop(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'setIntegrationFault' | 'integrationFaults'>;
  circuitBreakers: Pick<CircuitBreakers, 'openFor'>;
  access: Pick<Access, 'recordSystem'>;
  log: Logger;
}

export function createClientFaults({ store, circuitBreakers, access, log }: Parts): ClientFaults {
  let known = new Set<string>();
  const writing = new Map<string, Promise<void>>();
  let timer: NodeJS.Timeout | undefined;

  /** In the order in which they are noted. */
  function write(integration: string, code: string | null): void {
    const action = code === null ? 'integration.recovered' : 'integration.misconfigured';
    const outcome = code === null ? 'ok' : 'failed';
    const written = (writing.get(integration) ?? Promise.resolve())
      .then(async () => {
        const audit = access.recordSystem(action, { integration, detail: code }, outcome);
        await store.setIntegrationFault(integration, code, audit);
      })
      .catch((error: unknown) => {
        // The next request that comes to the same tells it.
        if (code === null) known.add(integration);
        else known.delete(integration);
        log.warn({ err: error, integration }, 'integration fault: telling it failed, will retry');
      })
      .finally(() => {
        if (writing.get(integration) === written) writing.delete(integration);
      });
    writing.set(integration, written);
  }

  async function load(): Promise<void> {
    const stored = (await store.integrationFaults()).map(({ integration }) => integration);
    const own = [...known].filter((integration) => writing.has(integration));
    known = new Set([...stored.filter((integration) => !writing.has(integration)), ...own]);
  }

  const loadOrWarn = () =>
    load().catch((error: unknown) => log.warn({ err: error }, 'integration faults: reading failed, will retry'));

  return {
    note(key, report) {
      const { id } = key.integration;
      if (typeof report === 'object') {
        if (report.cause !== 'client_fault' || known.has(id)) return;
        known.add(id);
        write(id, report.fault.code);
      } else if (report === 'answered' && known.size > 0 && known.has(id)) {
        // Only the probe shows that it is over.
        if (circuitBreakers.openFor(key, 'client_fault') !== undefined) return;
        known.delete(id);
        write(id, null);
      }
    },
    async start() {
      await loadOrWarn();
      timer = setInterval(loadOrWarn, CLIENT_FAULT_POLL_MS);
      timer.unref();
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(writing.values());
    },
  };
}
