// One simulation, from the first connection that is stored to its summary. It replaces the clocks of this process.
import { join } from 'node:path';
import { refreshDueAt } from '../../src/domain/connection.ts';
import { type Server, startServer } from '../postgres.ts';
import { idOf, type Seeded, seed } from '../seed.ts';
import { meterPostgres, meterSqlite } from './database-work.ts';
import { startEngine } from './engine.ts';
import { createObserver } from './observations.ts';
import type { Options } from './options.ts';
import { seededRandom } from './random.ts';
import { type Summary, summaryOf } from './report.ts';
import { createTokenEndpoint, type Fault } from './token-endpoint.ts';
import { installVirtualTime } from './virtual-time.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const LIFE_MS = 60 * MINUTE;
/** Between two refreshes: a token is refreshed five minutes before its end, or up to half a minute sooner. */
const CYCLE_MS = LIFE_MS - 5.5 * MINUTE;

/** Minutes of an hour; a shorter run has the same curve, with shorter faults. */
function faultsOf(hours: number): Fault[] {
  const at = (minute: number) => minute * hours * MINUTE;
  return [
    { kind: 'refused', from: at(5), until: at(9), integration: 'bench-0' },
    { kind: 'slow', from: at(11), until: at(13) },
    { kind: 'down', from: at(18), until: at(38) },
  ];
}

/** `defer`: runs the callback when all is done, also if it fails or is interrupted. */
export async function simulate(options: Options, defer: (cleanUp: () => unknown) => void): Promise<Summary> {
  const { connections, integrations, hours, store } = options;
  const durationMs = hours * 60 * MINUTE;
  const begun = process.hrtime.bigint();
  const realSeconds = () => Number(process.hrtime.bigint() - begun) / 1e9;
  const epoch = Date.now();
  const random = seededRandom(options.seed);
  // As if each token had been refreshed when it was due.
  const ages = Float64Array.from({ length: connections }, () => Math.round(random() * CYCLE_MS));
  const times = (n: number) => {
    const issuedAt = epoch - ages[n]!;
    const expiresAt = issuedAt + LIFE_MS;
    return { issuedAt, expiresAt, dueAt: refreshDueAt(idOf(n), issuedAt, expiresAt)! };
  };
  const seeded = await seed({
    ...{ connections, integrations, token: 200, times },
    tokenUrl: (integration) => `http://127.0.0.1:9/${integration}/token`,
  });
  defer(seeded.remove);
  const server = store === 'postgres' ? await startServer() : undefined;
  if (server) defer(server.stop);
  const { env, meterWith } = await databaseOf(seeded, server);
  const seededSeconds = realSeconds();

  const time = installVirtualTime(epoch);
  Math.random = random;
  const meter = meterWith(time);
  const observer = createObserver(connections, durationMs, time.elapsed);
  for (let n = 0; n < connections; n++) {
    const { dueAt, expiresAt } = times(n);
    observer.known(n, { dueAt: dueAt - epoch, expiresAt: expiresAt - epoch });
  }
  const faults = faultsOf(hours);
  const endpoint = createTokenEndpoint({ elapsed: time.elapsed, faults, random, lifeSeconds: LIFE_MS / SECOND });
  endpoint.onRequest(observer.requested);
  endpoint.onFailure(observer.failed);
  const limits = options.rate === undefined ? {} : { VALETKEY_REFRESH_RATE: String(options.rate) };
  const numberOf = (id: string) => Number(id.slice('con_'.length));
  const engine = await time.until(
    startEngine({ env: { ...env, ...limits }, time, epoch, endpoint, observer, numberOf }),
  );

  await meter.start();
  const before = process.cpuUsage();
  const seconds = setInterval(() => observer.second(engine.openCircuits()), SECOND);
  await time.pass(durationMs, () => realSeconds() > options.maxSeconds);
  clearInterval(seconds);
  const { user, system } = process.cpuUsage(before);
  const work = await meter.work();
  const passedMs = time.elapsed();
  const observed = observer.observations();
  await time.until(engine.stop());
  return summaryOf({
    ...{ connections, integrations, store, faults, passedMs, observed, work, seededSeconds },
    ...{ seed: options.seed, perSecond: engine.limits.perSecond, wantedMs: durationMs },
    brokerSeconds: (user + system) / 1e6,
    realSeconds: realSeconds(),
  });
}

async function databaseOf(seeded: Seeded, server: Server | undefined) {
  const dataDir = { VALETKEY_DATA_DIR: join(seeded.folder, 'data') };
  if (!server)
    return {
      env: { ...seeded.env, ...dataDir },
      meterWith: (time: ReturnType<typeof installVirtualTime>) => meterSqlite(seeded.database, time),
    };
  const database = await server.adopt(seeded);
  return {
    env: { ...database.env(1), ...dataDir },
    meterWith: (time: ReturnType<typeof installVirtualTime>) => meterPostgres(server, database, time),
  };
}
