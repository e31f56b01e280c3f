// Circuit breakers of API hosts: when they open, probe, and let calls pass again. With a set clock.
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type BreakerPermit,
  createUpstreamBreakers,
  type UpstreamBreakers,
  type UpstreamOutcome,
} from '../../../src/broker/proxy/breaker/index.ts';
import { circuitBreakers } from '../../../src/broker/refresh/index.ts';
import { Refusal } from '../../../src/domain/errors.ts';

let now: number;
let random: number;
let breakers: UpstreamBreakers;
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
beforeEach(() => {
  now = 1_000_000;
  random = 1;
  const clock = { monotonic: () => now };
  breakers = createUpstreamBreakers({
    circuits: (policy) => circuitBreakers({ clock, log, random: () => random, policy }),
    clock,
  });
});

const HOST = 'https://api.acme.example';
const integration = { id: 'acme', version: 1, createdAt: 7 };
/** One caller, with several connections. */
const place = (connectionId = 'con_1', host = HOST, caller = 'clr_1') => ({ integration, host, caller, connectionId });
const admit = (connection?: string, host?: string) => breakers.admit(place(connection, host));
function sent(connection?: string, host?: string): BreakerPermit {
  const permit = admit(connection, host);
  if (permit instanceof Refusal) throw new Error(JSON.stringify(permit.fault));
  return permit;
}
const call = (outcome: UpstreamOutcome | undefined, connection?: string, host?: string) =>
  sent(connection, host).release(outcome);
const fail = (times: number, host?: string) => {
  for (let i = 0; i < times; i++) call('failed', `con_${i % 2}`, host);
};
const isOpen = (host = HOST) => breakers.blocked(place('con_9', host)) !== undefined;
/** Seconds until the next probe. */
function retryAfter(connection = 'con_9', host = HOST): number {
  const refusal = admit(connection, host);
  if (!(refusal instanceof Refusal) || refusal.fault.code !== 'upstream_unavailable') throw new Error('admitted');
  return refusal.fault.retryAfter;
}

describe('opens', () => {
  test('after five failures in a row, of two connections', () => {
    fail(4);
    expect(isOpen()).toBe(false);
    fail(1);
    expect(isOpen()).toBe(true);
    expect(retryAfter()).toBe(10);
    expect(breakers.states()).toEqual([{ integration: 'acme', host: HOST, scope: 'caller', state: 1 }]);
  });

  test('not after failures of one connection alone, however many', () => {
    for (let i = 0; i < 100; i++) call('failed', 'con_1');
    expect(isOpen()).toBe(false);
    call('failed', 'con_2');
    expect(isOpen()).toBe(true);
  });

  test('not while successes come between, and calls that were not sent count for nothing', () => {
    for (let i = 0; i < 9; i++) {
      fail(1);
      call('ok');
      call(undefined);
    }
    expect(isOpen()).toBe(false);
  });

  test('when half of at least twenty calls within ten seconds fail', () => {
    const round = () => {
      for (const outcome of ['failed', 'ok'] as const) call(outcome, 'con_1');
      for (const outcome of ['failed', 'ok'] as const) call(outcome, 'con_2');
    };
    for (let i = 0; i < 4; i++) round();
    now += 11_000;
    for (let i = 0; i < 4; i++) round();
    expect(isOpen()).toBe(false);
    call('ok');
    for (let i = 0; i < 2; i++) call('failed', `con_${i}`);
    call('ok');
    call('failed', 'con_1');
    expect(isOpen()).toBe(true);
  });

  test('not when less than half of them fail, or all of one connection', () => {
    for (let i = 0; i < 30; i++) {
      call('failed', 'con_1');
      call('ok', 'con_2');
    }
    expect(isOpen()).toBe(false);
    now += 11_000;
    for (let i = 0; i < 30; i++) {
      call('failed', `con_${i}`);
      call('ok');
      call('ok');
    }
    expect(isOpen()).toBe(false);
  });

  test('for its host and integration alone, and closes when the integration is changed', () => {
    fail(5);
    expect(isOpen('https://files.acme.example')).toBe(false);
    expect(breakers.blocked({ ...place(), integration: { ...integration, id: 'other' } })).toBeUndefined();
    expect(breakers.concerns('acme')).toBe(true);
    breakers.integrationChanged('acme', { ...integration, version: 2 });
    expect([isOpen(), breakers.concerns('acme')]).toEqual([false, false]);
  });

  test('a change that is heard of late closes nothing that has opened since', () => {
    fail(5);
    breakers.integrationChanged('acme', integration);
    expect(isOpen()).toBe(true);
    now += 10_000;
    call('ok', 'con_7');
    breakers.integrationChanged('acme', integration);
    expect(breakers.states()).toMatchObject([{ state: 0.25 }]);
    breakers.integrationChanged('acme', undefined);
    expect(breakers.states()).toEqual([]);
  });
});

describe('callers', () => {
  const of = (caller: string, connection = 'con_1') => place(connection, HOST, caller);
  const end = (caller: string, outcome: UpstreamOutcome, connection?: string) => {
    const permit = breakers.admit(of(caller, connection));
    if (!(permit instanceof Refusal)) permit.release(outcome);
  };
  const refuses = (caller: string) => breakers.blocked(of(caller)) !== undefined;
  const scopes = () => breakers.states().map(({ scope }) => scope);

  test('one caller, with as many connections as it likes, opens the breaker for itself alone', () => {
    for (let i = 0; i < 1_000; i++) end('bad', 'failed', `con_${i}`);
    end('good', 'failed');
    expect([refuses('bad'), refuses('good'), scopes()]).toEqual([true, false, ['caller']]);
    end('good', 'ok');
    now += 60_000;
    expect(refuses('good')).toBe(false);
  });

  test('nor by the share of its failures, while the calls of the others work', () => {
    for (let i = 0; i < 200; i++) {
      end('bad', i % 4 === 3 ? 'ok' : 'failed');
      if (i % 20 === 0) end('good', i === 0 ? 'failed' : 'ok');
    }
    expect([refuses('good'), scopes()]).toEqual([false, []]);
  });

  test('two callers that fail open it for all, and the probe of one is enough', () => {
    for (let i = 0; i < 2; i++) end('one', 'failed');
    for (let i = 0; i < 3; i++) end('other', 'failed');
    expect([refuses('one'), refuses('other'), refuses('third'), scopes()]).toEqual([true, true, true, ['all']]);
    now += 10_000;
    end('third', 'ok');
    expect(breakers.states()).toMatchObject([{ scope: 'all', state: 0.25 }]);
    expect(refuses('one')).toBe(false);
  });

  test('half of the calls of two callers fail: it opens for all', () => {
    for (let i = 0; i < 5; i++)
      for (const caller of ['one', 'other']) {
        end(caller, 'failed');
        end(caller, 'ok');
      }
    end('one', 'failed');
    expect(scopes()).toEqual(['all']);
  });
});

describe('probes', () => {
  test('once, after five to thirty seconds: longer each time, and spread by chance', () => {
    const pauses = [10, 20, 30, 30];
    fail(5);
    for (const [i, seconds] of pauses.entries()) {
      expect(retryAfter()).toBe(seconds);
      now += seconds * 1_000;
      const probe = sent(`con_probe_${i}`);
      expect(breakers.states()).toMatchObject([{ state: 0.5 }]);
      expect(retryAfter('con_8')).toBe(1);
      probe.release('failed');
    }
    random = 0;
    now += 60_000;
    call('failed', 'con_8');
    expect(retryAfter()).toBe(5);
  });

  test('a probe that was not sent gives its turn back', () => {
    fail(5);
    now += 10_000;
    sent('con_7').release(undefined);
    call('ok', 'con_8');
    expect(isOpen()).toBe(false);
  });

  test('calls from before it opened neither close nor prolong it', () => {
    const early = Array.from({ length: 20 }, (_, i) => sent(`con_${i}`));
    fail(5);
    for (const [i, permit] of early.entries()) permit.release(i % 2 ? 'ok' : 'failed');
    expect(retryAfter()).toBe(10);
  });
});

test('recovery: few calls at once, and more with each that works', () => {
  fail(5);
  now += 10_000;
  call('ok', 'con_7');
  const round = () => {
    const permits: BreakerPermit[] = [];
    for (let i = 0; i < 200; i++) {
      const permit = admit(`con_${i}`);
      if (!(permit instanceof Refusal)) permits.push(permit);
    }
    return permits;
  };
  expect(breakers.states()).toMatchObject([{ state: 0.25 }]);
  const counts = [];
  for (let i = 0; i < 6; i++) {
    const permits = round();
    counts.push(permits.length);
    for (const permit of permits) permit.release('ok');
  }
  expect(counts).toEqual([2, 4, 8, 16, 200, 200]);
  expect(breakers.states()).toEqual([]);
});

test('recovery: one caller leaves a place to another that has called meanwhile', () => {
  const of = (caller: string, connection: string) => breakers.admit(place(connection, HOST, caller));
  const isSent = (permit: BreakerPermit | Refusal) => !(permit instanceof Refusal);
  for (const caller of ['many', 'many', 'one', 'one', 'one']) {
    const permit = of(caller, `con_of_${caller}`);
    if (!(permit instanceof Refusal)) permit.release('failed');
  }
  expect(breakers.blocked(place('con_of_one', HOST, 'one'))).toBeDefined();
  now += 10_000;
  const probe = of('many', 'con_1');
  if (!(probe instanceof Refusal)) probe.release('ok');
  // Two slow uploads.
  expect([of('many', 'con_1'), of('many', 'con_2'), of('one', 'con_3')].map(isSent)).toEqual([true, false, true]);
});

test('recovery: one connection leaves a place to the others of its caller', () => {
  fail(5);
  expect(retryAfter('con_2')).toBe(10);
  now += 10_000;
  call('ok', 'con_1');
  const slow = sent('con_1');
  expect(retryAfter('con_1')).toBe(1);
  sent('con_2');
  // Alone again, it has all of them.
  slow.release('ok');
  now += 600_000;
  for (const _ of [1, 2]) sent('con_1');
  expect(retryAfter('con_1')).toBe(1);
});

test('recovery: a host that fails again is open again', () => {
  fail(5);
  now += 10_000;
  call('ok', 'con_7');
  fail(5);
  expect(retryAfter()).toBeGreaterThanOrEqual(5);
});

test('metrics show a bounded number of hosts', () => {
  for (let i = 0; i < 300; i++) fail(5, `https://t${i}.acme.example`);
  expect(breakers.states()).toHaveLength(100);
});
