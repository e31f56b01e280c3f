// A chaos run: one provider, one database, brokers that are killed and restarted, and readers that check every token.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { type Answer, ask } from '../../support/broker.ts';
import { type Brokers, createBrokers, type Replica } from './brokers.ts';
import { type Connections, createConnections, INTEGRATION, nameOf, PROVIDER_ENTRY } from './connections.ts';
import { type ChaosProvider, launchProvider, type RunningProcess, type WorkerKilled } from './processes.ts';
import type { RefreshRecord, Rules } from './provider.ts';
import { type Freeze, type Kill, type Observations, type ReadFault, TAKEOVER_MS } from './results.ts';
import { createSeededRandom, type SeededRandom } from './seeded-random.ts';

export interface Options {
  seed: number;
  connections: number;
  /** The provider's reuse window. */
  windowMs: number;
  /** The broker's limits for refreshes of an integration. */
  limits: { concurrency: number; perSecond: number };
  readers: number;
  /** How long a reader pauses before its next read, in ms: minimum and maximum. */
  readPauseMs?: [number, number];
  /** The URL of an empty PostgreSQL database; by default a SQLite file. */
  postgres?: string | undefined;
  /** The broker's bundle, if there is one. */
  program?: string | undefined;
  /** The number of brokers; one by default. */
  replicas?: number;
  /** The worker processes of each; one by default. */
  workers?: number;
  /** The provider's token endpoint is over TLS. */
  tls?: boolean;
}

export interface ChaosRun {
  options: Options;
  random: SeededRandom;
  provider: ChaosProvider;
  connections: Connections;
  /** Reads since then (ms since the epoch) that were answered with an error. */
  failedReads(since: number): ReadFault[];
  database: string;
  /** Disconnects replicas from PostgreSQL, with a reset or a stall, during `work`; `reconnect` reconnects them earlier. */
  disconnect(replicas: Replica[], how: 'cut' | 'stall', work: (reconnect: () => void) => Promise<void>): Promise<void>;
  /** This many replicas that can be disconnected; all by default. */
  replicas(count?: number): Replica[];
  /** Starts another broker on the same database, and retries until it starts. */
  startBroker(): Promise<RunningProcess>;
  /** A random running broker. */
  broker(): RunningProcess;
  /** All running brokers. */
  brokers(): RunningProcess[];
  setProviderRules(change: Partial<Rules>): Promise<void>;
  refreshesFrom(index: number): Promise<RefreshRecord[]>;
  /** Sends SIGKILL, and starts the broker again. */
  kill(broker?: RunningProcess): Promise<void>;
  /** Sends SIGKILL to a worker of a broker, which replaces it, as soon as all workers serve. */
  killWorker(): Promise<void>;
  /** The broker kills itself at a point of a refresh (or is killed after 3 s), and is started again. */
  killAt(point: 'claimed' | 'answered' | 'committed', nth: number): Promise<void>;
  /** Sends SIGTERM, and starts the broker again. */
  restart(): Promise<void>;
  /** Sends SIGKILL, and does not start the broker again. */
  killForGood(broker: RunningProcess): Promise<void>;
  recordThaw(): void;
  /** Stops a broker (SIGSTOP) for this long. */
  freeze(broker: RunningProcess, ms: number): Promise<void>;
  /** Saves the integration, as an admin who fixes it, or with another client id breaks it. */
  saveIntegration(clientId?: string): Promise<void>;
  /** Stops all faults, and waits until every connection is served or lost. */
  recover(): Promise<Observations>;
  /** `keep`: keeps the logs of the processes. */
  close(keep?: boolean): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 25_000;
/** A request that is never answered is given up after two minutes. */
const RECOVERY_TIMEOUT_MS = 150_000;
/** A token may be refused this shortly after its expiry: it was in transit, or the event loop was busy. */
export const EXPIRY_TOLERANCE_MS = 200;

export async function startChaosRun(options: Options): Promise<ChaosRun> {
  const { seed, windowMs, limits, readPauseMs = [1, 15] } = options;
  const random = createSeededRandom(seed);
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-chaos-'));
  const logPath = join(folder, 'processes.log');
  const database = join(folder, 'valetkey.db');
  const adminKey = randomBytes(32).toString('base64url');
  const env = {
    VALETKEY_PORT: '0',
    VALETKEY_KEYS: generateKey(),
    VALETKEY_DATABASE_URL: `file:${database}`,
    VALETKEY_ADMIN_KEY: adminKey,
    VALETKEY_OUTBOUND_ALLOW: '127.0.0.1',
    VALETKEY_PROVIDERS_DIR: join(folder, 'providers'),
    VALETKEY_REFRESH_CONCURRENCY: String(limits.concurrency),
    VALETKEY_REFRESH_RATE: String(limits.perSecond),
    VALETKEY_LOG_LEVEL: 'info',
    VALETKEY_WORKERS: String(options.workers ?? 1),
  };
  await mkdir(env.VALETKEY_PROVIDERS_DIR);
  await writeFile(join(env.VALETKEY_PROVIDERS_DIR, `${PROVIDER_ENTRY.id}.json`), JSON.stringify(PROVIDER_ENTRY));
  const provider = await launchProvider(seed, logPath, options.tls);
  const certificate = join(folder, 'provider.pem');
  if (provider.certificate !== undefined) await writeFile(certificate, provider.certificate);
  const brokers: Brokers = createBrokers({
    env: provider.certificate === undefined ? env : { ...env, NODE_EXTRA_CA_CERTS: certificate },
    folder,
    logPath,
    random,
    postgres: options.postgres,
    program: options.program,
  });
  const kills: Kill[] = [];
  const cuts: Kill[] = [];
  const thaws: number[] = [];
  const freezes: Freeze[] = [];
  const exitCodes: (number | null)[] = [];
  const reads = {
    served: 0,
    withheld: [] as ReadFault[],
    refused: [] as ReadFault[],
    unavailable: [] as ReadFault[],
    unreachable: 0,
  };

  const { start } = brokers;
  function broker(): RunningProcess {
    const any = brokers.any();
    if (!any) throw new Error(`no broker lives (seed ${seed}); see ${logPath}`);
    return any;
  }
  const request = (url: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    Promise.race([
      ask(url, adminKey, method, path, body),
      pause(REQUEST_TIMEOUT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('no answer'))),
    ]);
  /** `from`: when the signal was sent. */
  const recordKill = (from: number) => void kills.push({ from, at: Date.now() });
  const killForGood = async (target: RunningProcess) => {
    const from = Date.now();
    await target.end('SIGKILL');
    recordKill(from);
  };

  const disconnect: ChaosRun['disconnect'] = async (places, how, work) => {
    const since = Date.now();
    for (const replica of places) brokers.disconnect(replica, how);
    const isShared = places.length < brokers.running().length;
    const reconnect = () => {
      for (const replica of places.splice(0)) brokers.reconnect(replica);
      const at = since + TAKEOVER_MS;
      if (isShared && Date.now() > at) cuts.push({ from: at, at });
    };
    try {
      await work(reconnect);
    } finally {
      if (places.length > 0) reconnect();
    }
  };

  const integration = {
    provider: PROVIDER_ENTRY.id,
    client_id: 'valetkey',
    client_secret: randomBytes(24).toString('base64url'),
    params: {
      base: provider.baseUrl,
      ...(windowMs > 0 && { reuse_window: String(windowMs / 1_000) }),
    },
  };
  const saveIntegration = async (client_id = integration.client_id) =>
    void (await request(broker().url, 'PUT', `/v1/integrations/${INTEGRATION}`, { ...integration, client_id }));

  await provider.control('rules', { windowMs });
  await start();
  for (let i = 1; i < (options.replicas ?? 1); i++) await start();
  await saveIntegration();
  const connections = createConnections(provider, (...asked) => request(broker().url, ...asked));
  await connections.add(Array.from({ length: options.connections }, (_, i) => nameOf(i)));

  /** The last token of each connection, and how long at least it is valid. */
  const lastServed = new Map<string, { token: string; until: number }>();
  /** The last token that each broker served. */
  const servedBy = new WeakMap<RunningProcess, Map<string, { token: string; at: number }>>();

  async function readOnce(id: string): Promise<void> {
    const target = brokers.any();
    if (!target) return void (await pause(20));
    const served = servedBy.get(target) ?? new Map<string, { token: string; at: number }>();
    servedBy.set(target, served);
    const before = lastServed.get(id);
    const forced = before !== undefined && random.next() < 0.03;
    const begun = Date.now();
    let answer: Answer;
    try {
      answer = await (forced
        ? request(target.url, 'POST', `/v1/connections/${id}/refresh`, { rejected_token: before.token })
        : request(target.url, 'GET', `/v1/connections/${id}/token`));
    } catch {
      reads.unreachable++;
      return;
    }
    const name = connections.nameOf(id);
    if (name === undefined) return;
    const readInfo = { connection: name, at: begun, tookMs: Date.now() - begun };
    if (answer.status === 200) {
      reads.served++;
      const token = String(answer.body.access_token);
      const arrived = Date.now();
      const { alive, why, since } = await provider.control('alive', { token, servedAt: arrived });
      if (!alive && (since === null || since < begun - EXPIRY_TOLERANCE_MS))
        reads.refused.push({ ...readInfo, why: `${why}, for ${since === null ? '?' : begun - since} ms` });
      if (served.get(id)?.token !== token) served.set(id, { token, at: arrived });
      if (alive) lastServed.set(id, { token, until: arrived + Number(answer.body.expires_in) * 1_000 });
      return;
    }
    if (answer.status === 409) return;
    const why = `${answer.status} ${String(answer.body.code)}: ${String(answer.body.detail)}`;
    reads.unavailable.push({ ...readInfo, why });
    const own = served.get(id);
    if (before && !brokers.mustHold(target, begun, own?.token === before.token ? own.at : undefined)) return;
    if (forced || !before || before.until <= Date.now() + EXPIRY_TOLERANCE_MS) return;
    if (!(await hasExpired(id, begun))) reads.withheld.push({ ...readInfo, why });
  }

  /** The stored token: a newer one than the last that was served may live shorter. */
  async function hasExpired(id: string, at: number): Promise<boolean> {
    const { body } = await request(broker().url, 'GET', `/v1/connections/${id}`);
    return Date.parse(String(body.expires_at)) <= at + EXPIRY_TOLERANCE_MS;
  }

  let reading = true;
  const readers = Array.from({ length: options.readers }, async () => {
    while (reading) {
      await readOnce(random.pick(connections.ids() as [string, ...string[]]));
      await pause(random.between(...readPauseMs));
    }
  });

  async function recover(): Promise<Observations> {
    await provider.control('rules', { faults: {}, latency: [0, 5], clockSkewMs: 0, closes: 0 });
    await pause(2_000);
    reading = false;
    await Promise.all(readers);
    await saveIntegration();
    const stuck: ReadFault[] = [];
    const lost: { connection: string; reason: string }[] = [];
    const deadline = Date.now() + RECOVERY_TIMEOUT_MS;
    const left = [...connections.ids()];
    const sweep = async () => {
      for (let id = left.pop(); id !== undefined; id = left.pop()) {
        for (;;) {
          const { status, body } = await request(broker().url, 'POST', `/v1/connections/${id}/refresh`, {});
          if (status === 200) break;
          if (status === 409) {
            lost.push({ connection: connections.nameOf(id)!, reason: String(body.reason) });
            break;
          }
          if (Date.now() > deadline) {
            stuck.push({
              connection: connections.nameOf(id)!,
              at: Date.now(),
              tookMs: 0,
              why: `${status} ${String(body.detail)}`,
            });
            break;
          }
          await pause(250);
        }
      }
    };
    await Promise.all(Array.from({ length: limits.concurrency }, sweep));
    const { spends } = await provider.control('log', { from: 0 });
    return { kills, takeovers: cuts, thaws, freezes, exitCodes, reads, lost, stuck, spends };
  }

  async function restartAfter(end: () => Promise<void>): Promise<void> {
    await end();
    await start();
  }

  return {
    options,
    random,
    provider,
    connections,
    failedReads: (since) => reads.unavailable.filter(({ at }) => at >= since),
    database,
    disconnect,
    replicas: brokers.replicas,
    startBroker: start,
    broker,
    brokers: brokers.running,
    setProviderRules: async (change) => void (await provider.control('rules', change)),
    refreshesFrom: async (from) => (await provider.control('log', { from })).spends,
    kill: (target = broker()) => restartAfter(() => killForGood(target)),
    killForGood,
    async killWorker() {
      const target = broker();
      const answer = target.nextMessage();
      target.send({ killWorker: random.between(0, 1_000) });
      recordKill(((await answer) as WorkerKilled).killedAt);
    },
    killAt: (die, nth) =>
      restartAfter(async () => {
        const target = broker();
        const from = Date.now();
        target.send({ die, nth });
        const enough = new AbortController();
        const late = pause(3_000, 'late', { signal: enough.signal }).catch(() => 'gone');
        if ((await Promise.race([target.gone, late])) === 'late') await target.end('SIGKILL');
        enough.abort();
        recordKill(from);
      }),
    restart: () =>
      restartAfter(async () => {
        exitCodes.push(await broker().end('SIGTERM'));
      }),
    recordThaw: () => void thaws.push(Date.now()),
    async freeze(target, ms) {
      const from = Date.now();
      target.signal('SIGSTOP');
      await pause(ms);
      target.signal('SIGCONT');
      freezes.push({ from, to: Date.now() });
    },
    saveIntegration,
    recover,
    async close(keep = false) {
      reading = false;
      await brokers.close();
      await provider.end();
      if (keep) console.log(`  logs: ${folder}`);
      else await rm(folder, { recursive: true, force: true });
    },
  };
}
