// The contract of the store: the hash chain over the audit log.
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ANCHOR, type AuditSeal, HEAD, sealId } from '../../../src/domain/audit-seal.ts';
import type { Store } from '../../../src/ports/index.ts';
import { anAuditSeal, anEntry, anIntegration, FIRST } from '../builders.ts';
import { storedReads } from '../stored-reads.ts';
import type { Opened } from './index.ts';

const LAST = Number.MAX_SAFE_INTEGER;

const aHead = (given: Partial<AuditSeal> = {}) => anAuditSeal({ id: HEAD, previous: sealId(1), ...given });

/** All entries have their places, and none will appear among them. */
async function settled(store: Store): Promise<number> {
  let horizon = 0;
  await expect
    .poll(async () => {
      horizon = await store.auditHorizon();
      return (await store.entriesBetween(horizon, LAST, 1)).length;
    })
    .toBe(0);
  return horizon;
}

export function auditSeals(at: Opened): void {
  test('entries have places in the order of their commits, however they are recorded', async () => {
    expect(await at.store.entriesBetween(0, await at.store.auditHorizon(), 1)).toEqual([]);
    const other = await at.another();
    const entries = [anEntry(), anEntry(), anEntry(), anEntry()] as const;
    await at.store.appendAudit([entries[2]]);
    await other.putIntegration(anIntegration(), entries[0]);
    await at.store.appendAudit([entries[3], entries[1]]);
    const horizon = await settled(at.store);
    const placed = await at.store.entriesBetween(0, horizon, 10);
    expect(placed.map(({ entry }) => entry)).toEqual([entries[2], entries[0], entries[3], entries[1]]);
    const positions = placed.map(({ position }) => position);
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
    expect(await at.store.entriesBetween(positions[0]!, positions[2]!, 1)).toEqual([placed[1]]);
  });

  test('batches of reads that lists by owner do not find are counted, by owners', async () => {
    const reads = ['user:1', 'user:2', 'user:2'].map((owner) =>
      anEntry({ action: 'token.read', owner, detail: null, changed: null }),
    );
    const [batch, ...others] = storedReads(reads);
    expect(others).toEqual([]);
    expect(await at.store.countUnlistedReads([batch!])).toBe(2);
    await at.store.appendAudit([batch!]);
    expect(await at.store.countUnlistedReads([batch!])).toBe(0);
    expect(await at.store.countUnlistedReads([{ ...batch!, id: 'evt_other' }])).toBe(2);
  });

  test('the horizon never passes an entry that is not committed yet', async () => {
    const stores = [at.store, await at.another(), await at.another()];
    const seen = new Set<string>();
    let sealed = 0;
    let isDone = false;
    const writing = Promise.all(
      stores.map(async (store) => {
        for (let n = 0; n < 20; n++) await store.appendAudit([anEntry(), anEntry()]);
      }),
    ).then(() => {
      isDone = true;
    });
    const seal = async () => {
      const horizon = await at.store.auditHorizon();
      for (const { entry } of await at.store.entriesBetween(sealed, horizon, 500)) seen.add(entry.id);
      sealed = Math.max(sealed, horizon);
    };
    while (!isDone) {
      await seal();
      // An embedded store reads without a turn of the event loop, in which the writers would go on.
      await turn();
    }
    await writing;
    await settled(at.store);
    await seal();
    expect(seen.size).toBe(120);
  });

  test('of several links of the chain with one id, one is taken', async () => {
    const [one, two] = [anAuditSeal(), anAuditSeal()];
    const other = await at.another();
    const heads = [aHead({ hash: 'd'.repeat(64) }), aHead({ hash: 'e'.repeat(64) })] as const;
    const outcomes = await Promise.all([at.store.addAuditSeal(one, heads[0]), other.addAuditSeal(two, heads[1])]);
    expect([...outcomes].sort()).toEqual(['added', 'taken']);
    expect(await at.store.auditSeals(undefined, 10)).toHaveLength(1);
    expect((await at.store.auditChainEnd()).head).toEqual(heads[outcomes.indexOf('added')]);
  });

  test('links of the chain are listed from the oldest, the anchor apart, and pruned from the old end', async () => {
    expect(await at.store.lastAuditSeal()).toBeUndefined();
    expect(await at.store.auditChainEnd()).toEqual({ last: undefined, head: undefined });
    const seals = [1, 2, 3, 4].map((n) =>
      anAuditSeal({ id: sealId(n), previous: n === 1 ? null : 'x', toPosition: n }),
    );
    const heads = seals.map(({ id }) => aHead({ previous: id }));
    for (const [i, seal] of seals.entries()) await at.store.addAuditSeal(seal, heads[i]!);
    const anchor = anAuditSeal({ id: ANCHOR, toPosition: 2 });
    await at.store.putAuditAnchor(anchor);
    expect(await at.store.auditAnchor()).toEqual(anchor);
    await at.store.putAuditAnchor({ ...anchor, toPosition: 1 });
    expect(await at.store.auditAnchor()).toEqual(anchor);
    await at.store.putAuditAnchor({ ...anchor, toPosition: 3 });
    expect((await at.store.auditAnchor())?.toPosition).toBe(3);
    expect(await at.store.lastAuditSeal()).toEqual(seals[3]);
    expect(await at.store.auditChainEnd()).toEqual({ last: seals[3], head: heads[3] });
    expect(await at.store.auditSeals(undefined, 3)).toEqual(seals.slice(0, 3));
    expect(await at.store.auditSeals(sealId(3), 3)).toEqual([seals[3]]);
    expect(await at.store.pruneAuditSeals(sealId(3), 2)).toBe(2);
    expect(await at.store.pruneAuditSeals(sealId(3), 2)).toBe(1);
    expect(await at.store.auditSeals(undefined, 10)).toEqual([seals[3]]);
  });

  test('entries in the chain are pruned by their places, the others by their ids', async () => {
    const entries = Array.from({ length: 6 }, () => anEntry());
    await at.store.appendAudit(entries);
    const placed = await at.store.entriesBetween(0, await settled(at.store), 10);
    const third = placed[2]!.position;
    expect(await at.store.pruneAudit(entries[5]!.id, 10, placed[4]!.position)).toBe(0);
    expect(await at.store.pruneSealedAudit(third, 2)).toBe(2);
    expect(await at.store.pruneSealedAudit(third, 2)).toBe(1);
    const outside = { upTo: 0, fromId: '{', sealedUpTo: placed[3]!.position };
    expect(await at.store.auditOutside(outside)).toEqual({ unplaced: 0, unsealed: 2, misplaced: 0 });
    expect(await at.store.pruneAudit(entries[5]!.id, 10, placed[3]!.position)).toBe(1);
    expect((await at.store.audit({}, FIRST)).data).toEqual([entries[5], entries[3]]);
    // Places are not given again.
    await at.store.addAuditSeal(anAuditSeal({ toPosition: placed[5]!.position }), aHead());
    await at.store.pruneSealedAudit(placed[5]!.position, 10);
    await at.store.appendAudit([anEntry()]);
    const [next] = await at.store.entriesBetween(placed[5]!.position, await settled(at.store), 10);
    expect(next).toBeDefined();
  });

  test('entries without a right place are found', async () => {
    const [first, last] = [anEntry(), anEntry()];
    await at.store.appendAudit([first, last]);
    const placed = await at.store.entriesBetween(0, await settled(at.store), 10);
    const upTo = placed[1]!.position;
    expect(await at.store.auditOutside({ upTo, fromId: last.id, sealedUpTo: upTo })).toMatchObject({ misplaced: 1 });
    expect(await at.store.auditOutside({ upTo, fromId: '{', sealedUpTo: upTo })).toMatchObject({ misplaced: 0 });
  });
}
