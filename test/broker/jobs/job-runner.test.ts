// Jobs go on after a kill, on any replica, from where their progress was stored; batches that fail are repeated; a job whose
// caller is gone, or that was cancelled, stops.
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createJobRunner } from '../../../src/broker/jobs/job-runner.ts';
import type { JobKinds, JobWork } from '../../../src/broker/jobs/kinds/job-work.ts';
import { refuse } from '../../../src/domain/errors.ts';
import type { Job } from '../../../src/domain/job.ts';
import { JOB_LEASE_MS, JOB_RETRY_MS } from '../../../src/domain/time-limits.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { aJob, anEntry, NOW } from '../../stores/builders.ts';
import { emptyDatabase } from '../../support/sqlite-file.ts';

type BatchOf = JobWork['batch'];
const PERMISSIONS = [{ actions: ['*' as const], integrations: ['*'], owners: ['*'] }];

async function setUp() {
  const store = await openSqlite(await emptyDatabase());
  onTestFinished(() => store.close());
  let at = NOW;
  const clock = { now: () => at, monotonic: () => at - NOW };
  let caller: { id: string; permissions: typeof PERMISSIONS } | undefined = { id: 'clr_1', permissions: PERMISSIONS };
  /** A replica. `batch`: what it does. */
  const replica = (batch: BatchOf, canDo = true) => {
    const work = { prepare: async () => refuse({ code: 'invalid_request', detail: '' }), canDo: () => canDo, batch };
    const kinds = { 'connections.revoke': work, 'deliveries.replay': work, 'keys.rotate': work } as unknown as JobKinds;
    const recorded: string[] = [];
    const runner = createJobRunner({
      store,
      kinds,
      callers: { makerOf: ({ createdWith }) => (createdWith === 'key_admin.before' ? undefined : caller) },
      access: {
        recordSystem: (action) => {
          recorded.push(action);
          return anEntry({ action });
        },
      },
      clock,
      log: createLogger('silent'),
    });
    runner.start(5);
    onTestFinished(runner.stop);
    return { ...runner, recorded };
  };
  const add = async (given: Partial<Job> = {}) => {
    const job = aJob(given);
    await store.addJob(job, 10, anEntry());
    return job;
  };
  return {
    store,
    replica,
    add,
    lose: () => {
      caller = undefined;
    },
    advance: (ms: number) => {
      at += ms;
    },
    becomes: (job: Job, fields: Partial<Job>) =>
      expect.poll(() => store.job(job.id), { timeout: 30_000 }).toMatchObject(fields),
  };
}

/** Three batches of two: the places are `2`, `4` and the end. */
const counting =
  (seen: (string | null)[], before: (position: string | null) => unknown = () => undefined): BatchOf =>
  async (_, { position }) => {
    seen.push(position);
    await before(position);
    const next = Number(position ?? 0) + 2;
    return { done: 2, counts: { revoked: 2 }, next: next === 6 ? null : String(next) };
  };

test('a process that hangs loses the job after its lease: another one goes on, and the first stores nothing more', async () => {
  const { add, replica, becomes, advance, store } = await setUp();
  const [first, second]: (string | null)[][] = [[], []];
  let release: () => void = () => {};
  const hangs = new Promise<void>((resolve) => {
    release = resolve;
  });
  const stuck = replica(counting(first!, (position) => position === '2' && hangs));
  const job = await add();
  await becomes(job, { status: 'running', done: 2, position: '2', counts: { revoked: 2 } });
  const other = replica(counting(second!));
  advance(JOB_LEASE_MS);
  await becomes(job, { status: 'completed', done: 6, position: null, counts: { revoked: 6 }, fence: 2 });
  expect([first, second]).toEqual([
    [null, '2'],
    ['2', '4'],
  ]);
  release();
  await stuck.stop();
  expect(await store.job(job.id)).toMatchObject({ status: 'completed', done: 6 });
  expect([stuck.recorded, other.recorded]).toEqual([[], ['job.completed']]);
});

test('a process that is stopped ends its batch, and hands the job on at once', async () => {
  const { add, replica, becomes } = await setUp();
  const seen: (string | null)[] = [];
  let inBatch: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    inBatch = resolve;
  });
  const first = replica(counting(seen, () => inBatch()));
  const job = await add();
  await begun;
  await first.stop();
  await becomes(job, { status: 'running', done: 2, nextAt: NOW });
  replica(counting(seen));
  await becomes(job, { status: 'completed', done: 6 });
  expect(seen).toEqual([null, '2', '4']);
});

test('a batch that fails is repeated after a growing pause, which is shown, and given up in the end', async () => {
  const { add, replica, becomes, advance } = await setUp();
  let isDown = true;
  const { recorded } = replica(
    counting([], () => {
      if (isDown) throw new StoreError('full');
    }),
  );
  const job = await add();
  await becomes(job, { status: 'running', attempts: 1, lastError: 'store_unavailable', nextAt: NOW + JOB_RETRY_MS });
  advance(JOB_RETRY_MS);
  await becomes(job, { attempts: 2, nextAt: NOW + 3 * JOB_RETRY_MS });
  isDown = false;
  advance(2 * JOB_RETRY_MS);
  await becomes(job, { status: 'completed', attempts: 0, lastError: null, done: 6 });
  isDown = true;
  const hopeless = await add({ attempts: 19 });
  await becomes(hopeless, { status: 'failed', attempts: 20, lastError: 'store_unavailable', nextAt: null });
  expect(recorded).toEqual(['job.completed', 'job.failed']);
});

test('a caller that is deleted or narrowed loses its job', async () => {
  const { add, replica, becomes, advance, lose } = await setUp();
  const seen: (string | null)[] = [];
  replica(counting(seen, lose));
  const job = await add();
  await becomes(job, { attempts: 1, lastError: 'unauthenticated', done: 2 });
  for (const attempts of [2, 3]) {
    advance(attempts * JOB_RETRY_MS);
    await becomes(job, { attempts });
  }
  await becomes(job, { status: 'failed', lastError: 'unauthenticated', done: 2 });
  expect(seen).toEqual([null]);
  const ofConsole = await add({ actor: { ...job.actor, permissions: PERMISSIONS } });
  await becomes(ofConsole, { status: 'completed' });
});

test('what was started with an admin key that is another one by now does nothing more', async () => {
  const { add, replica, becomes } = await setUp();
  const seen: (string | null)[] = [];
  replica(counting(seen));
  const credential = { kind: 'key', id: 'key_admin', expiresAt: null } as const;
  const startedWith = (version: string) => add({ actor: { ...aJob().actor, credential: { ...credential, version } } });
  await becomes(await startedWith('before'), { attempts: 1, lastError: 'unauthenticated', done: 0 });
  expect(seen).toEqual([]);
  await becomes(await startedWith('now'), { status: 'completed' });
});

test('a job that is cancelled does no further batch; one that this replica cannot do is left to the others', async () => {
  const { add, replica, becomes, store } = await setUp();
  const seen: (string | null)[] = [];
  const job = await add();
  const cancel = () => store.cancelJob(job.id, NOW, anEntry());
  const first = replica(counting(seen, cancel));
  await becomes(job, { status: 'cancelled', done: 0 });
  await first.stop();
  expect(seen).toEqual([null]);

  const unable = replica(counting(seen), false);
  const other = await add();
  await becomes(other, { status: 'pending', lastError: 'left_to_others' });
  replica(counting(seen));
  await becomes(other, { status: 'completed', lastError: null });
  await unable.stop();
});

test('a long batch reports in between: it goes on only while the job is its own', async () => {
  const { add, replica, becomes, store } = await setUp();
  const job = await add();
  const reports: unknown[] = [];
  replica(async (_, { id }, report) => {
    await report({ done: 5, counts: { reencrypted: 5 } });
    if (reports.push('first') === 1) throw new Error('unexpected');
    await store.cancelJob(id, NOW, anEntry());
    await report({ done: 5, counts: { reencrypted: 5 } }).finally(() => reports.push('rejected'));
    return { done: 0, counts: {}, next: null };
  });
  await becomes(job, { done: 5, attempts: 1, lastError: 'internal' });
  await store.saveJob({ id: job.id, fence: 1 }, { nextAt: NOW });
  await becomes(job, { status: 'cancelled', done: 10, counts: { reencrypted: 10 } });
  await expect.poll(() => reports).toEqual(['first', 'first', 'rejected']);
});
