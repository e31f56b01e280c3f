// Health, readiness and metrics: what the tools of operators ask.
import type { Logger, Store } from '../ports/index.ts';

type Outcome = 'ok' | 'failed';

export interface Health {
  /** Checks the store and the key ring. Fails once the process is stopping. */
  readiness(): Promise<{ status: 'ready' | 'unavailable'; checks: Record<string, Outcome> }>;
  /** Prometheus text. */
  metrics(): Promise<string>;
}

export interface HealthParts {
  store: Pick<Store, 'ping'>;
  renderMetrics: () => Promise<string>;
  /** Throws when the key ring cannot encrypt and decrypt. */
  proveKeys: () => void;
  log: Logger;
  /** True from the start of a shutdown on: readiness fails first, so that load balancers send nothing more. */
  isStopping: () => boolean;
}

export function createHealth({ store, renderMetrics, proveKeys, log, isStopping }: HealthParts): Health {
  /** One at a time, for all that ask meanwhile, and logged when the outcome is another than before: anyone may ask. */
  const shared = (name: string, probe: () => unknown) => {
    let last: Outcome = 'ok';
    let running: Promise<readonly [string, Outcome]> | undefined;
    const check = async () => {
      try {
        await probe();
        last = 'ok';
      } catch (error) {
        if (last === 'ok') log.warn({ err: error, check: name }, 'readiness check failed');
        last = 'failed';
      }
      running = undefined;
      return [name, last] as const;
    };
    return () => {
      running ??= check();
      return running;
    };
  };
  const probes = [shared('store', () => store.ping()), shared('key_ring', proveKeys)];

  return {
    async readiness() {
      const checks = Object.fromEntries(await Promise.all(probes.map((probe) => probe())));
      const isReady = !isStopping() && Object.values(checks).every((outcome) => outcome === 'ok');
      return { status: isReady ? 'ready' : 'unavailable', checks };
    },
    metrics: renderMetrics,
  };
}
