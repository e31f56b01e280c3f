// The audit buffer: what it writes at once, and what it repeats.
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { type AuditBuffer, createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import { firstId } from '../../../src/broker/secrets/ids.ts';
import type { AuditEntry } from '../../../src/domain/audit.ts';
import { entriesOf } from '../../../src/domain/audit-reads.ts';
import { StoreClosedError, StoreError } from '../../../src/ports/index.ts';
import { anEntry, NOW } from '../../stores/builders.ts';

const log = createLogger('silent');
const touchKeys = async () => undefined;

const {
  id: _,
  owner,
  connectionId,
  detail,
  changed,
  at,
  requestId,
  clientRequestId,
  traceId,
  count,
  ...common
} = anEntry({
  action: 'token.read',
});

function noteRead(buffer: AuditBuffer, n: number): void {
  buffer.reads('caller', () => common).note(`con_${n}`, `user:${n}`, { requestId }, () => at);
}

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
  let isFlushed = false;
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
    if (!isFlushed) setImmediate(count);
  };
  setImmediate(count);
  for (let n = 0; n < 10_000; n++) noteRead(buffer, n);
  for (let n = 0; n < 100; n++) buffer.note(`other ${n}`, () => anEntry());
  noteRead(buffer, 7);
  await buffer.flush();
  isFlushed = true;
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
  for (let n = 0; n < 300; n++) noteRead(buffer, n);
  await buffer.flush();
  expect(buffer.state()).toEqual({ waiting: 300, lost: 0 });
  for (let n = 300; n < 320; n++) noteRead(buffer, n);
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

test('audit buffer: reads of a batch are of one group, and of ten seconds', async () => {
  const written: AuditEntry[] = [];
  const store = { appendAudit: async (entries: AuditEntry[]) => void written.push(...entries), touchKeys };
  const buffer = createAuditBuffer({ store, log });
  const note = (actor: string, n: number, at: number) =>
    buffer.reads(actor, () => ({ ...common, actor })).note(`con_${n}`, 'o', { requestId }, () => at);
  const times = [0, 1, 9_999, 10_000, 10_001];
  for (const [n, after] of times.entries()) note('clr_1', n, NOW + after);
  note('clr_2', 0, NOW);
  await buffer.flush();
  note('clr_2', 0, NOW + 1);
  await buffer.flush();
  expect(written.map(({ actor, at, count }) => [actor, at - NOW, count])).toEqual([
    ['clr_1', 0, 3],
    ['clr_1', 10_000, 2],
    ['clr_2', 0, 1],
    ['clr_2', 1, 1],
  ]);
  // The time in an id is that of the first read: lists are searched by it.
  for (const { id, at } of written) expect(id >= firstId('evt', at) && id < firstId('evt', at + 1)).toBe(true);
});

test('audit buffer: what the store does not take is dropped from the oldest read on', async () => {
  const writes: AuditEntry[][] = [];
  let isAway = true;
  const buffer = createAuditBuffer({
    store: {
      async appendAudit(entries) {
        if (isAway) throw new StoreError('disk full');
        writes.push(entries);
      },
      touchKeys,
    },
    log,
  });
  buffer.note('refusal', () => anEntry());
  for (let n = 0; n < 50_009; n++) noteRead(buffer, n);
  await buffer.flush();
  const { waiting, lost } = buffer.state();
  expect([waiting, lost]).toEqual([50_000, 10]);
  isAway = false;
  await buffer.flush();
  expect(buffer.state()).toEqual({ waiting: 0, lost: 10 });
  const left = readsIn(writes);
  expect(left).toHaveLength(50_000);
  // In a portion when the store refused them, these are the first.
  expect(left).toContain('con_0 1');
  expect(left).toContain('con_50008 1');
});

test('audit buffer: that the store is closed is said once, however much is noted afterwards', async () => {
  const said: unknown[] = [];
  const refuse = () => Promise.reject(new StoreClosedError());
  const buffer = createAuditBuffer({
    store: { appendAudit: refuse, touchKeys: refuse },
    log: { ...log, error: (fields: object, message: string) => void said.push({ ...fields, message }) },
  });
  for (let n = 0; n < 3; n++) {
    noteRead(buffer, n);
    buffer.used('key_1', NOW + n);
    await buffer.flush();
  }
  expect(said).toEqual([
    { message: expect.stringContaining('the store is closed'), err: expect.any(StoreClosedError), unwritten: 1 },
  ]);
  expect(buffer.state()).toEqual({ waiting: 3, lost: 0 });
});

test('audit buffer: a read has the ids, the time and the count that it was noted with, among many others', async () => {
  const written: AuditEntry[] = [];
  const store = { appendAudit: async (entries: AuditEntry[]) => void written.push(...entries), touchKeys };
  const buffer = createAuditBuffer({ store, log });
  const group = buffer.reads('caller', () => common);
  const client = { requestId: 'of-the-client', traceId: '0af7651916cd43dd8448eb211c80319c' };
  const requests = Array.from({ length: 100 }, (_, n) => ({
    // Not all of them are UUIDs, and most clients tell nothing.
    requestId: n % 7 === 0 ? `short-${n}` : randomUUID(),
    client: n % 5 === 0 ? client : undefined,
  }));
  for (const [n, request] of requests.entries()) group.note(`con_${n}`, `user:${n}`, request, () => NOW + n);
  for (let n = 0; n < 100; n += 3) group.note(`con_${n}`, `user:${n}`, { requestId: 'a later one' }, () => NOW + 500);
  await buffer.flush();
  const read = written.flatMap(entriesOf).map(({ id, ...rest }) => rest);
  expect(read.sort((a, b) => a.at - b.at)).toEqual(
    requests.map(({ requestId, client }, n) => ({
      ...common,
      at: NOW + n,
      owner: `user:${n}`,
      connectionId: `con_${n}`,
      requestId,
      clientRequestId: client?.requestId ?? null,
      traceId: client?.traceId ?? null,
      detail: null,
      changed: null,
      count: n % 3 === 0 ? 2 : 1,
    })),
  );
});
