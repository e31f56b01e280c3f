// Circuit breaker: when it opens, probes and closes.
import { beforeEach, describe, expect, test } from 'vitest';
import {
  type CircuitBreakers,
  createCircuitBreakers,
  type Permit,
} from '../../../src/broker/refresh/circuit-breaker.ts';
import type { Logger, ProviderFault } from '../../../src/ports/index.ts';

let now = 0;
let messages: string[];
let circuitBreakers: CircuitBreakers;
beforeEach(() => {
  now = 1_000;
  messages = [];
  const note = (_: object, message: string) => void messages.push(message);
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

function permit(version = 1): Permit {
  const given = circuitBreakers.admit('acme', version);
  if ('retryIn' in given) throw new Error(`open for ${given.retryIn} ms`);
  return given;
}
const isOpen = (version = 1) => circuitBreakers.blocked('acme', version) !== undefined;
const fail = (times: number, fault = down) => {
  for (let i = 0; i < times; i++) circuitBreakers.report(permit(), fault);
};

test('circuit: opens after five failures in a row, not when a success comes between them', () => {
  fail(4);
  circuitBreakers.report(permit(), undefined);
  fail(4);
  expect(isOpen()).toBe(false);
  fail(1);
  expect(isOpen()).toBe(true);
});

test('circuit: a dead grant counts as a success', () => {
  fail(4);
  circuitBreakers.report(permit(), aFault('grant_dead', { code: 'invalid_grant' }));
  fail(4);
  expect(isOpen()).toBe(false);
});

test.each(['invalid_client', 'unauthorized_client'])('circuit: %s opens it at once, with one alert', (code) => {
  const inFlight = [permit(), permit(), permit()];
  for (const one of inFlight) circuitBreakers.report(one, aFault('misconfigured', { code }));
  expect(isOpen()).toBe(true);
  expect(messages).toEqual(['circuit breaker: opened, one request at a time probes the provider']);
});

test('circuit: an error that may concern one connection only does not open it at once', () => {
  fail(1, aFault('misconfigured', { code: 'invalid_scope' }));
  expect(isOpen()).toBe(false);
});

describe('circuit, Retry-After', () => {
  test('it stays open for that long', () => {
    fail(1, aFault('transient', { retryAfter: 30 }));
    now += 29_999;
    expect(isOpen()).toBe(true);
    now += 1;
    expect(isOpen()).toBe(false);
  });
  test('it is probed after a minute at the latest, since the wait may concern one owner only', () => {
    fail(1, aFault('transient', { retryAfter: 3_600 }));
    now += 60_000;
    expect(isOpen()).toBe(false);
  });
});

describe('open circuit', () => {
  beforeEach(() => fail(5));

  test('permits one probe after its pause, and nothing else meanwhile', () => {
    expect(circuitBreakers.capacity('acme')).toBe(0);
    now += 2_000;
    expect(circuitBreakers.capacity('acme')).toBe(1);
    const probe = permit();
    expect(probe.probe).toBe(true);
    expect(circuitBreakers.capacity('acme')).toBe(0);
    expect(circuitBreakers.admit('acme', 1)).toHaveProperty('retryIn');
  });

  test('closes when the probe succeeds', () => {
    now += 2_000;
    circuitBreakers.report(permit(), undefined);
    expect(isOpen()).toBe(false);
    expect(circuitBreakers.capacity('acme')).toBe(Number.POSITIVE_INFINITY);
    fail(4);
    expect(isOpen()).toBe(false);
  });

  test('stays open longer after each failed probe, up to a minute', () => {
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      const before = now;
      while (isOpen()) now += 1_000;
      pauses.push(now - before);
      circuitBreakers.report(permit(), down);
    }
    expect(pauses).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  test('does not stay open longer because of requests that were sent before it opened', () => {
    now += 10_000;
    circuitBreakers.report(permit(), undefined);
    const inFlight = Array.from({ length: 20 }, () => permit());
    for (const one of inFlight) circuitBreakers.report(one, down);
    now += 2_000;
    expect(isOpen()).toBe(false);
  });

  test('permits the next probe when the first was not sent', () => {
    now += 2_000;
    circuitBreakers.release(permit());
    expect(permit().probe).toBe(true);
  });

  test.each([
    ['success', undefined],
    ['failure', down],
    ['Retry-After', aFault('transient', { retryAfter: 50 })],
  ])('permits a request that bypasses it, whose %s does not change it', (_, fault) => {
    const bypassing = circuitBreakers.admit('acme', 1, true);
    if ('retryIn' in bypassing) throw new Error('open');
    expect(bypassing.probe).toBe(false);
    circuitBreakers.report(bypassing, fault);
    circuitBreakers.release(bypassing);
    expect(circuitBreakers.admit('acme', 1)).toHaveProperty('retryIn', 2_000);
  });

  test('closed meanwhile: the result of a bypassing request counts like any other', () => {
    const late = circuitBreakers.admit('acme', 1, true);
    if ('retryIn' in late) throw new Error('open');
    now += 2_000;
    circuitBreakers.report(permit(), undefined);
    circuitBreakers.report(late, aFault('transient', { retryAfter: 30 }));
    expect(isOpen()).toBe(true);
  });

  test('is closed for a new version of the integration', () => {
    expect(isOpen(2)).toBe(false);
  });

  test('is closed by reset', () => {
    circuitBreakers.reset('acme');
    expect(isOpen()).toBe(false);
  });

  test('shows in the metrics, as does the probe', () => {
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 1 }]);
    now += 2_000;
    permit();
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 0.5 }]);
  });
});
