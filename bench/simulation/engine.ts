// The broker of the simulation: the rooms as they are shipped, on a real store, with the token endpoint in place of the
// sockets. Only what refreshes and cleans up is started.
import { mkdirSync, readFileSync } from 'node:fs';
import { takeLocally } from '../../src/domain/token-bucket.ts';
import { declaredOf } from '../../src/http/setups.ts';
import type { Logger, Store } from '../../src/ports/index.ts';
import { followChanges } from '../../src/runtime/app.ts';
import { assemble } from '../../src/runtime/assembly/assemble.ts';
import { type Config, parseConfig } from '../../src/runtime/config.ts';
import { openKeyRing, proveKeys } from '../../src/runtime/keys.ts';
import { openRescueFile, openStore, openWithdrawals } from '../../src/stores/open.ts';
import type { Observer } from './observations.ts';
import type { TokenEndpoint } from './token-endpoint.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface Engine {
  limits: Config['refreshLimits'];
  openCircuits(): number;
  stop(): Promise<void>;
}

interface Parts {
  env: Record<string, string>;
  time: VirtualTime;
  epoch: number;
  endpoint: TokenEndpoint;
  observer: Observer;
  /** The number of a connection. */
  numberOf: (id: string) => number;
}

const silent = () => undefined;
const LOG: Logger = { debug: silent, info: silent, warn: silent, error: silent };

export async function startEngine({ env, time, epoch, endpoint, observer, numberOf }: Parts): Promise<Engine> {
  const parsed = parseConfig(env, (path) => readFileSync(path, 'utf8'));
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const { config } = parsed;
  mkdirSync(config.dataDir, { recursive: true });
  const vault = await openKeyRing(config, LOG);
  const opened = await openStore(config, LOG, time.clock.monotonic);
  await proveKeys(opened, vault);
  const store = withObserver(withVirtualBuckets(opened, time), { observer, epoch, numberOf });
  const rescue = openRescueFile(config);
  const withdrawalLog = openWithdrawals(config, time.clock.now);
  const listeners = {
    ...{ url: 'http://127.0.0.1', internalUrl: undefined },
    handle: async () => undefined,
    stop: async () => undefined,
  };
  const broker = assemble({
    ...{ config, store, vault, rescue, withdrawalLog, listeners, log: LOG },
    tuning: { clock: time.clock, outbound: endpoint.outbound },
    siblings: undefined,
    isStopping: () => false,
  });
  const { apply, cache, refresh, audit, connections, counter } = broker;
  await apply.atStart(declaredOf(config.declared));
  await followChanges(broker, LOG);
  await refresh.start();
  audit.start();
  connections.start();

  return {
    limits: config.refreshLimits,
    openCircuits: () => refresh.limitsState().circuits.length,
    async stop() {
      refresh.stopClaiming();
      await connections.stop();
      await audit.stop();
      await cache.stop();
      await refresh.stop();
      await audit.close();
      await counter.flush();
      await store.close();
      rescue.close();
    },
  };
}

/**
 * Databases fill their buckets by a clock of their own, which is not virtual. So they are asked as always, under limits that
 * never run out, and what they would have given by virtual time is decided here, by the same arithmetic.
 */
function withVirtualBuckets(store: Store, { clock }: VirtualTime): Store {
  const buckets = new Map<string, ReturnType<typeof takeLocally>['bucket']>();
  return {
    ...store,
    async takeFromBucket(name, wanted, limits) {
      await store.takeFromBucket(name, wanted, { ...limits, perSecond: Number.MAX_SAFE_INTEGER });
      const { bucket, ...taken } = takeLocally(buckets.get(name), wanted, limits, clock.monotonic());
      buckets.set(name, bucket);
      return taken;
    },
  };
}

function withObserver(
  store: Store,
  { observer, epoch, numberOf }: Pick<Parts, 'observer' | 'epoch' | 'numberOf'>,
): Store {
  return {
    ...store,
    async commitRefresh(id, held, change, ...rest) {
      const outcome = await store.commitRefresh(id, held, change, ...rest);
      const { nextRefreshAt, expiresAt } = change;
      if (outcome === 'committed' && nextRefreshAt && expiresAt)
        observer.refreshed(numberOf(id), { dueAt: nextRefreshAt - epoch, expiresAt: expiresAt - epoch });
      return outcome;
    },
  };
}
