// The contract of the store: jobs, which one process at a time has.
import { expect, test } from 'vitest';
import { aJob, anEntry, FIRST, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

export function jobs(at: Opened): void {
  const LEASE = 1_000;
  const add = async (given: Parameters<typeof aJob>[0] = {}) => {
    const job = aJob(given);
    expect(await at.store.addJob(job, 100, anEntry())).toBe('added');
    return job;
  };
  const claim = (now: number, except: string[] = []) => at.store.claimJob(now, now + LEASE, except);
  const idsOf = async (filter: Parameters<typeof at.store.jobs>[0]) =>
    (await at.store.jobs(filter, FIRST)).data.map(({ id }) => id);

  test('a job is added with its audit entry, unless its caller has too many, and is listed newest first', async () => {
    const [first, second] = [await add(), await add({ callerId: 'clr_2', mac: 'm1.k.x', nextAt: NOW + 5 })];
    const refused = anEntry();
    expect(await at.store.addJob(aJob(), 1, refused)).toBe('full');
    expect(await recorded(at.store, refused)).toBe(false);
    expect(await at.store.job(second.id)).toEqual(second);
    expect(await at.store.job('job_none')).toBeUndefined();
    expect(await idsOf({})).toEqual([first.id, second.id].sort().reverse());
    expect(await idsOf({ caller: 'clr_2' })).toEqual([second.id]);
    expect([await idsOf({ status: 'pending' }), await idsOf({ status: 'failed' })]).toEqual([await idsOf({}), []]);
    const { data, next } = await at.store.jobs({}, { limit: 1, after: undefined });
    expect(next).toBe(data[0]!.id);
    expect((await at.store.jobs({}, { limit: 1, after: next! })).next).toBeNull();
    expect((await at.store.openJobs(1)).map(({ id }) => id)).toEqual([[first.id, second.id].sort()[0]]);
  });

  test('of many that claim at the same time one gets it; after its lease another one, and the first writes no more', async () => {
    const later = await add({ nextAt: NOW + 1 });
    const job = await add();
    const [another] = [await at.another()];
    const got = await Promise.all([
      ...[1, 2].map(() => claim(NOW)),
      ...[1, 2].map(() => another.claimJob(NOW, NOW + LEASE, [])),
    ]);
    const [first, ...others] = got.filter((one) => one !== undefined);
    expect(others).toEqual([]);
    expect(first).toEqual({ ...job, status: 'running', nextAt: NOW + LEASE, fence: 1, startedAt: NOW });
    expect(await claim(NOW + 1, [later.id])).toBeUndefined();
    expect((await claim(NOW + 1))?.id).toBe(later.id);

    const progress = { done: 2, counts: { revoked: 2 }, position: 'con_2', nextAt: NOW + 2 * LEASE };
    expect(await at.store.saveJob(first!, progress)).toBe('stored');
    expect(await at.store.job(job.id)).toEqual({ ...first, ...progress });
    const second = await another.claimJob(NOW + 2 * LEASE, NOW + 3 * LEASE, [later.id]);
    expect(second).toEqual({ ...first, ...progress, nextAt: NOW + 3 * LEASE, fence: 2 });
    const lost = anEntry();
    expect(await at.store.saveJob(first!, { done: 99 }, lost)).toBe('lost');
    expect(await recorded(at.store, lost)).toBe(false);
    const [entry, finishedAt] = [anEntry(), NOW + 9];
    expect(await at.store.saveJob(second!, { status: 'completed', nextAt: null, finishedAt }, entry)).toBe('stored');
    expect(await recorded(at.store, entry)).toBe(true);
    expect(await at.store.saveJob(second!, { done: 99 })).toBe('lost');
    expect(await claim(NOW + 10 * LEASE, [later.id])).toBeUndefined();
    expect(await at.store.job(job.id)).toMatchObject({ status: 'completed', done: 2, startedAt: NOW, finishedAt });
  });

  test('a job is cancelled once, also while a process has it; what has ended is deleted by age', async () => {
    const [job, kept] = [await add(), await add({ nextAt: NOW + LEASE })];
    const claimed = await claim(NOW);
    const [entry, refused] = [anEntry(), anEntry()];
    expect(await at.store.cancelJob(job.id, NOW + 1, entry)).toBe('cancelled');
    expect(await at.store.cancelJob(job.id, NOW + 2, refused)).toBe('ended');
    expect(await at.store.cancelJob('job_none', NOW, refused)).toBe('absent');
    expect([await recorded(at.store, entry), await recorded(at.store, refused)]).toEqual([true, false]);
    expect(await at.store.saveJob(claimed!, { done: 1 })).toBe('lost');
    expect(await at.store.job(job.id)).toMatchObject({
      status: 'cancelled',
      nextAt: null,
      finishedAt: NOW + 1,
      done: 0,
    });
    expect(await at.store.deleteJobs(NOW + 1, 1)).toBe(false);
    expect(await at.store.job(job.id)).toBeDefined();
    expect(await at.store.deleteJobs(NOW + 2, 1)).toBe(true);
    expect(await idsOf({})).toEqual([kept.id]);
  });

  test('counts open jobs, those whose last batch failed, and those that were given up', async () => {
    expect(await at.store.jobState(NOW)).toEqual({ open: 0, failing: 0, failed: 0 });
    await add({ attempts: 2, lastError: 'store_unavailable' });
    await add();
    const ended = { nextAt: null, status: 'failed' as const, attempts: 5 };
    await add({ ...ended, finishedAt: NOW });
    await add({ ...ended, finishedAt: NOW - 1 });
    await add({ ...ended, status: 'completed', finishedAt: NOW });
    expect(await at.store.jobState(NOW)).toEqual({ open: 2, failing: 1, failed: 1 });
  });
}
