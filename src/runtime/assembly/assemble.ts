// Puts a broker together: adapters, then the rooms of the broker, then HTTP. Nothing is started and nothing is read here.
import { setTimeout as pause } from 'node:timers/promises';
import type { Outbound } from '../../adapters/outbound/outbound.ts';
import { instrumentStore } from '../../adapters/telemetry/instrumented-store.ts';
import { createMetrics } from '../../adapters/telemetry/metrics.ts';
import { createAudit, refusedRows } from '../../broker/audit/index.ts';
import { countingTelemetry, createHourlyCounter, type HourlyCounter } from '../../broker/counts/index.ts';
import type { KeyRotator } from '../../broker/jobs/index.ts';
import { rotateKeys, secretsToReencrypt } from '../../broker/maintenance/index.ts';
import { authenticateStore, reportRefusals } from '../../broker/secrets/index.ts';
import { createWithdrawals, type Withdrawals } from '../../broker/withdrawals/index.ts';
import type { Http } from '../../http/server.ts';
import type { Store, UpstreamClient } from '../../ports/index.ts';
import { systemClock } from '../system-clock.ts';
import { createAdapters } from './adapters.ts';
import { type Assembly, VERSION } from './parts.ts';
import { createRooms, type Rooms } from './rooms.ts';
import { createServer } from './server.ts';

/** A broker that is put together and not started. */
export interface Broker extends Rooms {
  /** Counts its errors in the metrics. */
  store: Store;
  http: Http;
  outbound: Outbound;
  upstream: UpstreamClient;
  counter: HourlyCounter;
  /** Undefined: the store cannot lose commits. */
  withdrawals: Withdrawals | undefined;
  publicUrl: string;
}

export function assemble(assembly: Assembly): Broker {
  const { config, vault, listeners, tuning } = assembly;
  const clock = tuning.clock ?? systemClock;
  const publicUrl = config.publicUrl ?? listeners.url;
  const telemetry = createMetrics({ version: VERSION, encryptionKid: vault.encryptionKid });
  const counted = instrumentStore(assembly.store, telemetry.storeError);
  const { access } = createAudit({ store: counted, vault, clock, log: assembly.log });
  const refused = refusedRows({ store: counted, access, telemetry, log: assembly.log });
  const authenticated = authenticateStore(counted, { vault, refused });
  const { withdrawalLog, log } = assembly;
  const withdrawals = authenticated.traits.mayLoseCommits
    ? createWithdrawals({ store: authenticated, withdrawalLog, clock, log })
    : undefined;
  const store = withdrawals?.store ?? authenticated;
  const counter = createHourlyCounter({ store, clock, log: assembly.log });
  const common = {
    ...{ ...assembly, store, vault: reportRefusals(vault, refused), clock, publicUrl, counter },
    telemetry: countingTelemetry(telemetry, counter),
  };
  store.onEvents((types) => {
    for (const type of types) telemetry.event(type);
  });
  const adapters = createAdapters(common, () => rooms.signing.clientAssertions);
  // As for `valetkey keys rotate`: the rows as they are stored.
  const rotation = { store: counted, ring: vault, rescue: assembly.rescue, access, log: assembly.log, pause };
  const rotator: KeyRotator = {
    key: vault.encryptionKid,
    left: () => secretsToReencrypt(counted, vault.encryptionKid),
    rotate: (onBatch) => rotateKeys({ ...rotation, onBatch }),
  };
  const rooms: Rooms = createRooms({ ...common, ...adapters, rotator });
  const { outbound, upstream } = adapters;
  // A cursor that does not decrypt is a caller's, and no row.
  const http = createServer({ ...common, vault, ...rooms });
  return { ...rooms, store, http, outbound, upstream, counter, withdrawals, publicUrl };
}
