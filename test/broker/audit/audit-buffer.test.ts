// The audit buffer: what it writes at once, and what it repeats.
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import type { AuditEntry } from '../../../src/domain/audit.ts';
import { entriesOf } from '../../../src/domain/audit-reads.ts';
import { StoreError } from '../../../src/ports/index.ts';
import { anEntry } from '../../stores/builders.ts';

const log = createLogger('silent');
const touchKeys = async () => undefined;

const aRead = (n: number): AuditEntry =>
  anEntry({ action: 'token.read', owner: `user:${n}`, connectionId: `con_${n}`, detail: null, changed: null });

/** Without their ids, which those in batches have by their batch. */
const readsIn = (writes: AuditEntry[][]) =>
  writes
    .flat()
    .flatMap(entriesOf)
    .map(({ connectionId, count }) => `${connectionId} ${count}`)
    .sort();

test('audit buffer: 10,000 different reads are written in portions, none of which is much work', async () => {
  const writes: AuditEntry[][] = [];
  let [turn, underWay, most] = [0, 0, 0];
  const turns = new Set<number>();
  const buffer = createAuditBuffer({
    store: {
      async appendAudit(entries) {
        writes.push(entries);
        turns.add(turn);
        most = Math.max(most, ++underWay);
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setImmediate(resolve));
        underWay--;
      },
      touchKeys,
    },
    log,
  });
  const count = () => {
    turn++;
    if (writes.length === 0 || underWay > 0) setImmediate(count);
  };
  setImmediate(count);
  for (let n = 0; n < 10_000; n++) buffer.note(`${n}`, () => aRead(n));
  for (let n = 0; n < 100; n++) buffer.note(`other ${n}`, () => anEntry());
  buffer.note('7', () => aRead(7));
  await buffer.flush();
  expect(buffer.state()).toEqual({ waiting: 0, lost: 0 });
  // Each begins in a turn of its own, a few at a time.
  expect(turns.size).toBe(writes.length);
  expect(most).toBeLessThanOrEqual(4);
  const reads = Array.from({ length: 10_000 }, (_, n) => `con_${n} ${n === 7 ? 2 : 1}`);
  expect(readsIn(writes)).toEqual([...reads, ...Array.from({ length: 100 }, () => 'con_1 1')].sort());
  for (const entries of writes) {
    expect(entries.flatMap(entriesOf).length).toBeLessThanOrEqual(64);
    expect(entries.length).toBeLessThanOrEqual(32);
  }
  // Not one row for each of them.
  expect(writes.flat().length).toBeLessThan(300);
});

test('audit buffer: a write whose outcome is not known is repeated as it was, before what was noted later', async () => {
  const writes: AuditEntry[][] = [];
  const failed: AuditEntry[][] = [];
  let isBroken = true;
  const buffer = createAuditBuffer({
    store: {
      async appendAudit(entries) {
        (isBroken ? failed : writes).push(entries);
        if (isBroken) throw new StoreError('the connection broke');
      },
      touchKeys,
    },
    log,
  });
  for (let n = 0; n < 300; n++) buffer.note(`${n}`, () => aRead(n));
  await buffer.flush();
  expect(buffer.state()).toEqual({ waiting: 300, lost: 0 });
  for (let n = 300; n < 320; n++) buffer.note(`${n}`, () => aRead(n));
  await buffer.flush();
  expect(buffer.state()).toEqual({ waiting: 320, lost: 0 });
  isBroken = false;
  await buffer.flush();
  expect(buffer.state()).toEqual({ waiting: 0, lost: 0 });
  // Those that failed come again as they were, before all others.
  expect(failed.length).toBeGreaterThan(0);
  for (const entries of failed) expect(writes).toContainEqual(entries);
  expect(readsIn(writes)).toEqual(Array.from({ length: 320 }, (_, n) => `con_${n} 1`).sort());
});
