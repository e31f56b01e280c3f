// A chaos run: one provider, one database, brokers that come and go, and readers that check every token they are given.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { type Answer, ask } from '../../support/broker.ts';
import { type Brokers, openBrokers, type Place } from './brokers.ts';
import { type ChaosProvider, launchProvider, type Running } from './processes.ts';
import type { Rules, Spend } from './provider.ts';
import { KEEPING_MS, type Kill, type Observed, OUTLIVED_MS, type ReadFault } from './results.ts';
import { createSeededRandom, type SeededRandom } from './seeded-random.ts';

export interface Options {
  seed: number;
  connections: number;
  /** The provider's reuse window. */
  windowMs: number;
  /** What an integration's token endpoint gets from the broker at the most. */
  limits: { concurrency: number; perSecond: number };
  readers: number;
  /** The URL of an empty database of PostgreSQL; without it, a SQLite file. */
  postgres?: string | undefined;
  /** A bundle of the broker, where there is one. */
  program?: string | undefined;
  /** Brokers that live at once; one by default. */
  replicas?: number;
}

export interface Stage {
  options: Options;
  random: SeededRandom;
  provider: ChaosProvider;
  database: string;
  /** Of PostgreSQL: cut off from it, silently or not, for as long as the work takes. */
  cutOff(places: Place[], how: 'cut' | 'stall', work: (mend: () => void) => Promise<void>): Promise<void>;
  /** So many places whose brokers can be cut off; all by default. */
  places(count?: number): Place[];
  /** Starts one more broker on the same database, until it does start. */
  start(): Promise<Running>;
  /** Of those that live, any. */
  broker(): Running;
  rules(change: Partial<Rules>): Promise<void>;
  spendsFrom(index: number): Promise<Spend[]>;
  /** SIGKILL now, and started again at once. */
  kill(broker?: Running): Promise<void>;
  /** SIGKILL by its own hand, or by ours when it does not get there in time; and started again at once. */
  killAt(point: 'claimed' | 'answered' | 'committed', nth: number): Promise<void>;
  /** SIGTERM, and started again. */
  restart(): Promise<void>;
  /** Notes that a broker was killed just now. */
  died(): void;
  /** Notes that somebody else holds the database, until what it returns is called. */
  held(): () => void;
  /** Saves the integration once more, as somebody does who has mended it. */
  mend(): Promise<void>;
  /** No faults any more: waits until every connection is served or lost. */
  settle(): Promise<Observed>;
  /** `keep`: what the processes logged stays, for a look. */
  close(keep?: boolean): Promise<void>;
}

const INTEGRATION = 'chaos';
const ASK_WITHIN_MS = 25_000;
const SETTLE_WITHIN_MS = 60_000;
/** A token that is refused so shortly after its end was in transit, or waited for a busy event loop. */
export const SLACK_MS = 500;

export async function openStage(options: Options): Promise<Stage> {
  const { seed, windowMs, limits } = options;
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
    VALETKEY_REFRESH_CONCURRENCY: String(limits.concurrency),
    VALETKEY_REFRESH_RATE: String(limits.perSecond),
    VALETKEY_LOG_LEVEL: 'info',
  };
  const provider = await launchProvider(seed, logPath);
  const brokers: Brokers = openBrokers({
    env,
    folder,
    logPath,
    random,
    postgres: options.postgres,
    program: options.program,
  });
  const kills: Kill[] = [];
  const cuts: Kill[] = [];
  const terms: (number | null)[] = [];
  const reads = { served: 0, withheld: [] as ReadFault[], refused: [] as ReadFault[], unavailable: 0, unreachable: 0 };

  const { start } = brokers;
  function broker(): Running {
    const any = brokers.any();
    if (!any) throw new Error(`no broker lives (seed ${seed}); see ${logPath}`);
    return any;
  }
  const request = (url: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    Promise.race([
      ask(url, adminKey, method, path, body),
      pause(ASK_WITHIN_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('no answer'))),
    ]);
  let hold: { since: number; until: number } | undefined;
  const died = () => {
    const at = Date.now();
    kills.push({ at, heldSince: hold && hold.until > at - KEEPING_MS ? hold.since : undefined });
  };
  const held = () => {
    hold = { since: Date.now(), until: Number.POSITIVE_INFINITY };
    return () => {
      if (hold) hold.until = Date.now();
    };
  };

  const cutOff: Stage['cutOff'] = async (places, how, work) => {
    const since = Date.now();
    for (const place of places) brokers.breakLine(place, how);
    const isShared = places.length < brokers.living().length;
    const over = held();
    const mend = () => {
      for (const place of places.splice(0)) brokers.mendLine(place);
      over();
      if (isShared && Date.now() - since > OUTLIVED_MS) cuts.push({ at: since + OUTLIVED_MS, heldSince: since });
    };
    try {
      await work(mend);
    } finally {
      if (places.length > 0) mend();
    }
  };

  const setUp = {
    provider: 'generic-oauth2',
    client_id: 'valetkey',
    client_secret: randomBytes(24).toString('base64url'),
    params: { authorization_url: provider.tokenUrl, token_url: provider.tokenUrl },
  };
  const mend = async () => void (await request(broker().url, 'PUT', `/v1/integrations/${INTEGRATION}`, setUp));

  await provider.control('rules', { windowMs });
  await start();
  for (let i = 1; i < (options.replicas ?? 1); i++) await start();
  await mend();
  const ids = new Map<string, string>();
  const names = Array.from({ length: options.connections }, (_, i) => `owner_${i}`);
  const { refreshTokens } = await provider.control('seed', { names });
  for (let i = 0; i < names.length; i += 20) {
    const adopted = names.slice(i, i + 20).map(async (owner, k) => {
      const credentials = { refresh_token: refreshTokens[i + k] };
      const { body } = await request(broker().url, 'POST', '/v1/connections', {
        integration: INTEGRATION,
        owner,
        credentials,
      });
      ids.set(String(body.id), owner);
    });
    await Promise.all(adopted);
  }
  const all = [...ids.keys()] as [string, ...string[]];

  /** What each connection was last served, and until when at least that is good. */
  const known = new Map<string, { token: string; until: number }>();
  /** What each broker has served of it. */
  const servedBy = new WeakMap<Running, Map<string, { token: string; at: number }>>();

  async function readOnce(id: string): Promise<void> {
    const target = brokers.any();
    if (!target) return void (await pause(20));
    const served = servedBy.get(target) ?? new Map<string, { token: string; at: number }>();
    servedBy.set(target, served);
    const before = known.get(id);
    const forced = before !== undefined && random.roll() < 0.03;
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
    const told = { connection: ids.get(id)!, at: begun, tookMs: Date.now() - begun };
    if (answer.status === 200) {
      reads.served++;
      const token = String(answer.body.access_token);
      const arrived = Date.now();
      const { alive, why, since } = await provider.control('alive', { token });
      if (!alive && (since === null || since < begun - SLACK_MS))
        reads.refused.push({ ...told, why: `${why}, for ${since === null ? '?' : begun - since} ms` });
      if (served.get(id)?.token !== token) served.set(id, { token, at: arrived });
      if (alive) known.set(id, { token, until: arrived + Number(answer.body.expires_in) * 1_000 });
      return;
    }
    if (answer.status === 409) return;
    reads.unavailable++;
    const own = served.get(id);
    if (before && !brokers.mustHold(target, begun, own?.token === before.token ? own.at : undefined)) return;
    if (!forced && before && before.until > Date.now() + SLACK_MS)
      reads.withheld.push({
        ...told,
        why: `${answer.status} ${String(answer.body.code)}: ${String(answer.body.detail)}`,
      });
  }

  let reading = true;
  const readers = Array.from({ length: options.readers }, async () => {
    while (reading) {
      await readOnce(random.pick(all));
      await pause(random.between(1, 15));
    }
  });

  async function settle(): Promise<Observed> {
    await provider.control('rules', { faults: {}, latency: [0, 5], clockSkewMs: 0 });
    await pause(2_000);
    reading = false;
    await Promise.all(readers);
    await mend();
    const stuck: ReadFault[] = [];
    const lost: { connection: string; reason: string }[] = [];
    const deadline = Date.now() + SETTLE_WITHIN_MS;
    const left = [...all];
    const sweep = async () => {
      for (let id = left.pop(); id !== undefined; id = left.pop()) {
        for (;;) {
          const { status, body } = await request(broker().url, 'POST', `/v1/connections/${id}/refresh`, {});
          if (status === 200) break;
          if (status === 409) {
            lost.push({ connection: ids.get(id)!, reason: String(body.reason) });
            break;
          }
          if (Date.now() > deadline) {
            stuck.push({
              connection: ids.get(id)!,
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
    return { kills, cuts, terms, reads, lost, stuck, spends };
  }

  async function restartAfter(end: () => Promise<void>): Promise<void> {
    await end();
    await start();
  }

  return {
    options,
    random,
    provider,
    database,
    cutOff,
    places: brokers.places,
    start,
    broker,
    rules: async (change) => void (await provider.control('rules', change)),
    spendsFrom: async (from) => (await provider.control('log', { from })).spends,
    kill: (target = broker()) =>
      restartAfter(async () => {
        await target.end('SIGKILL');
        died();
      }),
    killAt: (die, nth) =>
      restartAfter(async () => {
        const target = broker();
        target.send({ die, nth });
        const enough = new AbortController();
        const late = pause(3_000, 'late', { signal: enough.signal }).catch(() => 'gone');
        if ((await Promise.race([target.gone, late])) === 'late') await target.end('SIGKILL');
        enough.abort();
        died();
      }),
    restart: () =>
      restartAfter(async () => {
        terms.push(await broker().end('SIGTERM'));
      }),
    died,
    held,
    mend,
    settle,
    async close(keep = false) {
      reading = false;
      await brokers.close();
      await provider.end();
      if (keep) console.log(`  logs: ${folder}`);
      else await rm(folder, { recursive: true, force: true });
    },
  };
}
