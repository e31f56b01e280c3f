// A model of the refresh state machine, compared with the real store: for any sequence of operations of two processes, and
// crashes of either, the store returns and stores what the model does.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ConnectionStatus, EncryptedCredentials } from '../../../src/domain/connection.ts';
import { CLAIMED_DUE_AGAIN_MS, DUE_FOR_OTHERS_MS, LEASE_MS } from '../../../src/domain/time-limits.ts';
import type { RefreshFailure, Store } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, aSession, connected, NOW, someCredentials, someRefreshedFields } from '../../stores/builders.ts';

type Side = 'left' | 'right';
const SIDES = ['left', 'right'] as const;

/** A process: its store, until it crashes. */
interface Process {
  store: Store;
  alive: boolean;
  /** By connection: since when, by its own clock, it has seen another process's lease. */
  seen: Map<string, { fence: number; since: number }>;
}
const startProcess = async (): Promise<Process> => ({ store: await openSqlite(url), alive: true, seen: new Map() });

interface Row {
  id: string;
  status: ConnectionStatus;
  generation: number;
  fence: number;
  /** The lease holder; undefined: none. */
  holder: Process | undefined;
  intent: string | null;
  /** The time of the first of consecutive intents. */
  intentAt: number;
  nextRefreshAt: number | null;
  /** The last claim, or that it was taken, has moved it on to here at most. */
  movedOnUntil: number;
  grant: EncryptedCredentials | null;
  /** All credentials that it ever had. */
  had: EncryptedCredentials[];
}

/** A lease that a process believes to hold; it may have lost it. */
interface BelievedLease {
  row: Row;
  fence: number;
  generation: number;
}

interface Model {
  now: number;
  monotonic: number;
  integration: string;
  rows: Row[];
  claims: BelievedLease[];
}

type Real = Record<Side, Process>;
type Command = fc.AsyncCommand<Model, Real>;

let folder: string;
let url: string;
const real = {} as Real;
let made = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-model-'));
  url = `file:${join(folder, 'valetkey.db')}`;
  for (const side of SIDES) real[side] = await startProcess();
});
afterAll(async () => {
  await Promise.all(SIDES.map((side) => real[side].store.close()));
  await rm(folder, { recursive: true, force: true });
});

/** A command that afterwards compares everything visible from both sides. */
const command = (name: string, run: (model: Model, real: Real) => Promise<void>): Command => ({
  check: () => true,
  async run(model, processes) {
    const before = model.rows.map(({ generation }) => generation);
    await run(model, processes);
    for (const side of SIDES) await compare(model, processes[side].store);
    for (const [i, row] of model.rows.entries()) expect(row.generation).toBeGreaterThanOrEqual(before[i]!);
  },
  toString: () => name,
});

async function compare({ rows }: Model, store: Store): Promise<void> {
  for (const row of rows) {
    const { id, status, generation, nextRefreshAt } = row;
    const seen = await store.servedRow(id);
    expect(seen?.connection).toMatchObject({ status, generation, nextRefreshAt });
    expect(seen?.accessToken).toBe(row.grant?.accessToken ?? null);
  }
  const orphans = (await store.unresolvedRefreshes()).filter(({ id }) => rows.some((row) => row.id === id));
  const unheld = rows.filter(({ intent, holder }) => intent !== null && !holder?.alive);
  const byId = (a: { id: string }, b: { id: string }) => a.id.localeCompare(b.id);
  const wanted = unheld.map(({ id, intentAt }) => ({ id, startedAt: intentAt }));
  expect(orphans.sort(byId)).toEqual(wanted.sort(byId));
}

const free = (row: Row, resolved: boolean): void => {
  row.holder = undefined;
  if (resolved) row.intent = null;
};
const give = (row: Row, grant: EncryptedCredentials): void => {
  row.grant = grant;
  row.had.push(grant);
  row.generation++;
  row.status = 'active';
};
const whyNotHeld = ({ row, fence, generation }: BelievedLease) => {
  if (row.status === 'revoked') return 'gone';
  return row.fence === fence && row.generation === generation ? undefined : 'superseded';
};
/** An older claim brought its answer while this one was under way, and nothing has happened since. */
const hadLateAnswer = ({ row, fence, generation }: BelievedLease) =>
  row.fence === fence && row.holder !== undefined && row.intent === null && row.generation === generation + 1;

function hasWaited({ seen }: Process, { id, fence }: Row, now: number): boolean {
  const known = seen.get(id);
  if (known?.fence === fence) return now - known.since >= LEASE_MS;
  seen.set(id, { fence, since: now });
  return false;
}

const claim = (side: Side, at: number, stale: boolean) =>
  command(`${side} claims ${at}${stale ? ' knowing an older generation' : ''}`, async (model, processes) => {
    const row = model.rows[at]!;
    const me = processes[side];
    const attempt = `att_${++made}`;
    const generation = row.generation - (stale ? 1 : 0);
    const { now, monotonic } = model;
    const outcome = await me.store.claim(row.id, { attempt, generation, now, monotonic });
    if (row.status !== 'active' || stale) return expect(outcome).toBe('gone');
    if (row.holder?.alive && row.holder !== me && !hasWaited(me, row, monotonic)) return expect(outcome).toBe('busy');
    if (typeof outcome === 'string') throw new Error(`${outcome}, although no other process holds it`);
    expect(outcome.fence).toBeGreaterThan(row.fence);
    expect(outcome.credentials).toEqual(row.grant);
    const left = row.intent === null ? null : { attempt: row.intent, startedAt: row.intentAt };
    expect(outcome.unresolved).toEqual(left);
    const intentAt = left?.startedAt ?? now;
    const movedOnUntil = Math.max(row.movedOnUntil, now + CLAIMED_DUE_AGAIN_MS);
    Object.assign(row, { fence: outcome.fence, holder: me, intent: attempt, intentAt, movedOnUntil });
    model.claims.push({ row, fence: outcome.fence, generation: row.generation });
  });

/** With a lease of any age, by any process: a response may come from a rescue file. */
const rotate = (side: Side, which: number) =>
  command(`${side} keeps the answer to claim ${which}`, async (model, processes) => {
    const held = model.claims.at(-1 - which);
    if (!held) return;
    const { row } = held;
    const grant = someCredentials();
    const change = someRefreshedFields();
    const isLast = row.fence === held.fence;
    const isKept = row.generation === held.generation || hadLateAnswer(held);
    const isReactivated = row.status === 'needs_reauth';
    const outcome = await processes[side].store.commitRefresh(row.id, held, change, grant, anEntry);
    expect(outcome).toBe(row.status === 'revoked' ? 'gone' : isKept ? 'committed' : 'superseded');
    if (outcome !== 'committed') return;
    // A newer claim that is under way keeps its lease, but what it meant to spend is replaced.
    if (isLast) free(row, true);
    else row.intent = null;
    give(row, grant);
    row.nextRefreshAt = isReactivated ? change.updatedAt : change.nextRefreshAt;
  });

const fail = (side: Side, which: number, resolved: boolean, final: boolean) =>
  command(
    `${side} fails claim ${which}, ${resolved ? 'resolved' : 'unresolved'}${final ? ', finally' : ''}`,
    async (model, processes) => {
      const held = model.claims.at(-1 - which);
      if (!held) return;
      const { row } = held;
      const failure: RefreshFailure = {
        reason: final ? 'grant_revoked' : null,
        error: { code: 'timeout', detail: 'no answer', at: model.now, retryAt: null },
        nextRefreshAt: final ? null : model.now + 500,
        resolved,
      };
      const isAfterLateAnswer = hadLateAnswer(held);
      const outcome = await processes[side].store.recordRefreshFailure(row.id, held, failure, anEntry());
      expect(outcome).toBe(whyNotHeld(held) ?? 'recorded');
      if (isAfterLateAnswer) free(row, true);
      if (outcome !== 'recorded') return;
      free(row, resolved);
      row.nextRefreshAt = failure.nextRefreshAt;
      if (final) row.status = 'needs_reauth';
    },
  );

const renew = (side: Side, at: number) =>
  command(`the owner connects ${at} again at ${side}`, async (model, processes) => {
    const { store } = processes[side];
    const row = model.rows[at]!;
    const session = aSession({ integration: model.integration });
    await store.addSession(session, anEntry());
    const grant = someCredentials();
    const before = (await store.connection(row.id))!;
    const outcome = await store.renewConnection({ ...before, nextRefreshAt: NOW + 9 }, grant, session.id, anEntry());
    expect(outcome).toEqual(row.status === 'revoked' ? 'gone' : { generation: row.generation + 1 });
    if (outcome === 'gone') return;
    // The lease is lost.
    row.fence++;
    free(row, true);
    give(row, grant);
    row.nextRefreshAt = NOW + 9;
  });

const revoke = (side: Side, at: number) =>
  command(`${side} revokes ${at}`, async (model, processes) => {
    const { store } = processes[side];
    const row = model.rows[at]!;
    const outcome = await store.revoke(row.id, 'unsupported', model.now, anEntry());
    expect(outcome?.already).toBe(row.status === 'revoked');
    free(row, true);
    Object.assign(row, { status: 'revoked', grant: null, nextRefreshAt: null });
    const every = await store.reencryptBatch('another', null, 100_000, () => undefined);
    const left = new Set(every.left.map(({ ciphertext }) => ciphertext));
    for (const { accessToken, refreshToken, idToken } of row.had)
      for (const secret of [accessToken, refreshToken, idToken]) expect(left.has(secret!)).toBe(false);
  });

const die = (side: Side) =>
  command(`${side} dies`, async (_, processes) => {
    await processes[side].store.close();
    processes[side].alive = false;
    processes[side] = await startProcess();
  });

const takeDue = (side: Side) =>
  command(`${side} takes what is due`, async (model, processes) => {
    const isDue = ({ status, nextRefreshAt }: Row) =>
      status === 'active' && nextRefreshAt !== null && nextRefreshAt <= model.now;
    const ids = (rows: Row[]) => rows.map(({ id }) => id);
    const due = model.rows.filter(isDue);
    const mine = (await processes[side].store.dueConnections(model.integration, model.now, 100)).map(
      ({ connection }) => connection.id,
    );
    expect(ids(due)).toEqual(expect.arrayContaining(mine));
    // Whose share they are in, whoever is alive.
    const late = due.filter(
      ({ nextRefreshAt, movedOnUntil }) => Math.max(nextRefreshAt!, movedOnUntil) <= model.now - DUE_FOR_OTHERS_MS,
    );
    expect(mine).toEqual(expect.arrayContaining(ids(late)));
    await processes[side].store.postponeDue(mine, model.now);
    for (const row of due) if (mine.includes(row.id)) row.movedOnUntil = model.now + CLAIMED_DUE_AGAIN_MS;
  });

const pass = (ms: number) =>
  command(`${ms} ms pass`, async (model) => {
    model.now += ms;
    model.monotonic += ms;
  });

const jump = (ms: number) =>
  command(`the wall clock jumps by ${ms} ms`, async (model) => {
    model.now += ms;
  });

const side = fc.constantFrom(...SIDES);
const at = fc.nat({ max: 1 });
const which = fc.nat({ max: 3 });
const claiming = fc.tuple(side, at, fc.integer({ min: 0, max: 7 })).map(([s, a, n]) => claim(s, a, n === 0));
const commands = [
  claiming,
  claiming,
  fc.tuple(side, which).map(([s, w]) => rotate(s, w)),
  fc.tuple(side, which, fc.boolean(), fc.boolean()).map(([s, w, r, f]) => fail(s, w, r, f)),
  fc.tuple(side, at).map(([s, a]) => renew(s, a)),
  fc.tuple(side, at).map(([s, a]) => revoke(s, a)),
  side.map(die),
  side.map(takeDue),
  fc.constantFrom(400, LEASE_MS).map(pass),
  fc.constantFrom(-2 * LEASE_MS, 2 * LEASE_MS).map(jump),
];

async function newModel(): Promise<Model> {
  const integration = `integration_${++made}`;
  const rows: Row[] = [];
  for (const nextRefreshAt of [NOW, NOW + 800]) {
    const { connection, credentials: grant } = await connected(real.left.store, { integration, nextRefreshAt });
    const { id, status, generation } = connection;
    const noLease = { fence: 0, holder: undefined, intent: null, intentAt: 0 };
    rows.push({ id, movedOnUntil: 0, status, generation, ...noLease, nextRefreshAt, grant, had: [grant] });
  }
  return { now: NOW, monotonic: 0, integration, rows, claims: [] };
}

it('refresh state machine: the store matches the model for any sequence of operations', async () => {
  const property = fc.asyncProperty(fc.commands(commands, { maxCommands: 25 }), async (all) => {
    const model = await newModel();
    await fc.asyncModelRun(() => ({ model, real }), all);
  });
  // A failure prints its seed and path; `CHAOS_SEED` runs that seed again.
  const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
  await fc.assert(property, { seed, numRuns: 60, interruptAfterTimeLimit: 6_000, markInterruptAsFailure: false });
}, 180_000);
