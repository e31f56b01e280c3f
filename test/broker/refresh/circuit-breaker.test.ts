// One circuit for each integration.
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type CircuitBreakers,
  createCircuitBreakers,
  type Permit,
} from '../../../src/broker/refresh/circuit-breaker.ts';
import type { Logger, ProviderFault } from '../../../src/ports/index.ts';

let now = 0;
let alerts: string[];
let circuitBreakers: CircuitBreakers;
beforeEach(() => {
  now = 1_000;
  alerts = [];
  const note = (_: object, message: string) => void alerts.push(message);
  const log: Logger = { debug: note, info: note, warn: note, error: note };
  circuitBreakers = createCircuitBreakers({ clock: { monotonic: () => now }, log, random: () => 1 });
});

const aFault = (kind: ProviderFault['kind'], given: Partial<ProviderFault> = {}): ProviderFault => ({
  kind,
  code: 'http_503',
  detail: 'no',
  retryAfter: undefined,
  outcomeUnknown: false,
  ...given,
});
const down = aFault('transient');

function leave(version = 1): Permit {
  const given = circuitBreakers.admit('acme', version);
  if ('retryIn' in given) throw new Error(`shut for ${given.retryIn} ms`);
  return given;
}
const isOpen = (version = 1) => circuitBreakers.blocked('acme', version) !== undefined;
const fail = (times: number, fault = down) => {
  for (let i = 0; i < times; i++) circuitBreakers.report(leave(), fault);
};

test('opens after five failures in a row, and not when something went well between them', () => {
  fail(4);
  circuitBreakers.report(leave(), undefined);
  fail(4);
  expect(isOpen()).toBe(false);
  fail(1);
  expect(isOpen()).toBe(true);
});

test('a dead grant is an answer like any other', () => {
  fail(4);
  circuitBreakers.report(leave(), aFault('grant_dead', { code: 'invalid_grant' }));
  fail(4);
  expect(isOpen()).toBe(false);
});

test.each(['invalid_client', 'unauthorized_client'])('%s opens it at once, with one alert for all', (code) => {
  const inFlight = [leave(), leave(), leave()];
  for (const one of inFlight) circuitBreakers.report(one, aFault('misconfigured', { code }));
  expect(isOpen()).toBe(true);
  expect(alerts).toEqual(['circuit breaker: opened, one request at a time probes the provider']);
});

test('what only one connection may be guilty of does not open it at once', () => {
  fail(1, aFault('misconfigured', { code: 'invalid_scope' }));
  expect(isOpen()).toBe(false);
});

describe('Retry-After', () => {
  test('keeps it open for as long', () => {
    fail(1, aFault('transient', { retryAfter: 30 }));
    now += 29_999;
    expect(isOpen()).toBe(true);
    now += 1;
    expect(isOpen()).toBe(false);
  });
  test('of an hour is probed after a minute: it may be about one owner', () => {
    fail(1, aFault('transient', { retryAfter: 3_600 }));
    now += 60_000;
    expect(isOpen()).toBe(false);
  });
});

describe('open', () => {
  beforeEach(() => fail(5));

  test('lets one probe through when its pause is over, and nobody else meanwhile', () => {
    expect(circuitBreakers.capacity('acme')).toBe(0);
    now += 2_000;
    expect(circuitBreakers.capacity('acme')).toBe(1);
    const probe = leave();
    expect(probe.probe).toBe(true);
    expect(circuitBreakers.capacity('acme')).toBe(0);
    expect(circuitBreakers.admit('acme', 1)).toHaveProperty('retryIn');
  });

  test('closes when the probe gets through', () => {
    now += 2_000;
    circuitBreakers.report(leave(), undefined);
    expect(isOpen()).toBe(false);
    expect(circuitBreakers.capacity('acme')).toBe(Number.POSITIVE_INFINITY);
    fail(4);
    expect(isOpen()).toBe(false);
  });

  test('waits longer after each probe that fails, up to a minute', () => {
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      const before = now;
      while (isOpen()) now += 1_000;
      pauses.push(now - before);
      circuitBreakers.report(leave(), down);
    }
    expect(pauses).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  test('does not wait longer because of what was sent before it opened', () => {
    now += 10_000;
    circuitBreakers.report(leave(), undefined);
    const inFlight = Array.from({ length: 20 }, () => leave());
    for (const one of inFlight) circuitBreakers.report(one, down);
    now += 2_000;
    expect(isOpen()).toBe(false);
  });

  test('goes to the next when the probe was not sent after all', () => {
    now += 2_000;
    circuitBreakers.release(leave());
    expect(leave().probe).toBe(true);
  });

  test.each([
    ['success', undefined],
    ['failure', down],
    ['Retry-After', aFault('transient', { retryAfter: 50 })],
  ])('is passed by what cannot wait, whose %s says nothing to it', (_, fault) => {
    const leave = circuitBreakers.admit('acme', 1, true);
    if ('retryIn' in leave) throw new Error('shut');
    expect(leave.probe).toBe(false);
    circuitBreakers.report(leave, fault);
    circuitBreakers.release(leave);
    expect(circuitBreakers.admit('acme', 1)).toHaveProperty('retryIn', 2_000);
  });

  test('that has closed meanwhile hears what comes of it, as of any other', () => {
    const late = circuitBreakers.admit('acme', 1, true);
    if ('retryIn' in late) throw new Error('shut');
    now += 2_000;
    circuitBreakers.report(leave(), undefined);
    circuitBreakers.report(late, aFault('transient', { retryAfter: 30 }));
    expect(isOpen()).toBe(true);
  });

  test('starts afresh when the integration is mended', () => {
    expect(isOpen(2)).toBe(false);
  });

  test('is forgotten when told', () => {
    circuitBreakers.reset('acme');
    expect(isOpen()).toBe(false);
  });

  test('is told in the metrics', () => {
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 1 }]);
    now += 2_000;
    leave();
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 0.5 }]);
  });
});
