// Circuit breaker: when it opens, probes and closes.
import { beforeEach, describe, expect, test } from 'vitest';
import type { ResolvedIntegration } from '../../../src/broker/integrations/index.ts';
import { closeOutdated } from '../../../src/broker/integrations/index.ts';
import {
  type CircuitBreakers,
  type CircuitKey,
  createCircuitBreakers,
  type FailureCause,
  type Permit,
  type RefreshReport,
} from '../../../src/broker/refresh/failures/circuits/circuit-breaker.ts';
import { Refusal } from '../../../src/domain/errors.ts';
import type { Logger, ProviderFault } from '../../../src/ports/index.ts';

let now = 0;
let messages: string[];
let circuitBreakers: CircuitBreakers;
/** So that each request is of another connection. */
let connections: number;
beforeEach(() => {
  now = 1_000;
  connections = 0;
  messages = [];
  const note = (_: object, message: string) => void messages.push(message);
  const log: Logger = { debug: note, info: note, warn: note, error: note };
  circuitBreakers = createCircuitBreakers({ clock: { monotonic: () => now }, log, random: () => 1 });
});

interface Where {
  version?: number;
  createdAt?: number;
  endpoint?: string;
  connection?: string;
}
const keyOf = ({
  version = 1,
  createdAt = 7,
  endpoint = 'https://a.test/token',
  connection,
}: Where = {}): CircuitKey => ({
  integration: { id: 'acme', version, createdAt },
  endpoint,
  connection: connection ?? `con_${++connections}`,
});

const failure = (cause: FailureCause, given: Partial<ProviderFault> = {}): RefreshReport => ({
  cause,
  fault: {
    kind: 'transient',
    code: 'http_503',
    detail: 'no',
    retryAfter: undefined,
    outcomeUnknown: false,
    ...given,
  },
});
const down = failure('outage');
const throttled = failure('throttled', { retryAfter: 30 });
const refused = failure('client_fault', { kind: 'misconfigured', code: 'invalid_client' });
const OPENED = 'circuit breaker: opened, one request at a time probes the provider';

function permit(where?: Where, bypass = false): Permit {
  const given = circuitBreakers.admit(keyOf(where), bypass);
  if ('retryIn' in given) throw new Error(`open for ${given.retryIn} ms`);
  return given;
}
/** For a connection that has failed. */
const isOpen = (where: Where = {}) => circuitBreakers.blocked(keyOf({ connection: 'con_1', ...where })) !== undefined;
const fail = (times: number, report = down, where: Where = {}) => {
  for (let i = 0; i < times; i++) circuitBreakers.report(permit(where), report);
};

describe('circuit, outage', () => {
  test('opens after five failures in a row, not when a success comes between them', () => {
    fail(4);
    circuitBreakers.report(permit(), 'answered');
    fail(4);
    expect(isOpen()).toBe(false);
    fail(1);
    expect(isOpen()).toBe(true);
  });

  test('a dead grant counts as a success', () => {
    fail(4);
    circuitBreakers.report(permit(), 'refused');
    fail(4);
    expect(isOpen()).toBe(false);
  });

  test('failures of one connection do not open it', () => {
    fail(20, down, { connection: 'con_1' });
    fail(1, down, { connection: 'con_2' });
    expect(isOpen()).toBe(false);
    fail(1, down, { connection: 'con_3' });
    expect(isOpen()).toBe(true);
  });

  test('failures that are far apart are not in a row', () => {
    fail(4);
    now += 700_000;
    fail(4);
    expect(isOpen()).toBe(false);
  });
});

describe('circuit, client fault', () => {
  test('opens when several connections are refused and none succeeds between them, with one alert', () => {
    fail(2, refused);
    circuitBreakers.report(permit(), 'answered');
    fail(2, refused);
    expect(isOpen()).toBe(false);
    const inFlight = [permit(), permit(), permit()];
    for (const one of inFlight) circuitBreakers.report(one, refused);
    expect(isOpen({ connection: 'con_6' })).toBe(true);
    expect(messages).toEqual([OPENED]);
  });

  test('one connection that is refused again and again does not open it', () => {
    fail(20, refused, { connection: 'con_1' });
    expect(isOpen()).toBe(false);
  });

  test('connections that were not refused probe at once, one at a time; the first success closes it', async () => {
    fail(3, refused);
    const probe = permit();
    const waiting = circuitBreakers.admit(keyOf());
    if (!('retryIn' in waiting) || !waiting.probeEnded) throw new Error('not waiting');
    circuitBreakers.report(probe, 'answered');
    await waiting.probeEnded;
    expect(isOpen()).toBe(false);
  });

  test('five of them at most, then only after its pause', () => {
    fail(3, refused);
    fail(5, refused);
    expect(circuitBreakers.admit(keyOf())).toHaveProperty('retryIn', 2_000);
    now += 2_000;
    fail(1, refused);
    expect(circuitBreakers.admit(keyOf())).toHaveProperty('retryIn', 4_000);
    expect(messages).toEqual([OPENED]);
  });
});

describe('circuit, Retry-After', () => {
  test('for one connection: it stays closed for the others', () => {
    fail(10, throttled, { connection: 'con_1' });
    expect(isOpen()).toBe(false);
  });
  test('for several connections: it stays open for that long', () => {
    fail(3, throttled);
    now += 29_999;
    expect(isOpen()).toBe(true);
    now += 1;
    expect(isOpen()).toBe(false);
  });
  test('it is probed after a minute at the latest, since the wait may concern few owners only', () => {
    fail(3, failure('throttled', { retryAfter: 900 }));
    now += 60_000;
    expect(isOpen()).toBe(false);
  });
});

describe('circuits of several endpoints', () => {
  const noisy = { endpoint: 'https://noisy.test/token' };

  test('one that is open leaves the others closed, and the metrics have the worst', () => {
    fail(8, refused, noisy);
    expect([isOpen(noisy), isOpen()]).toEqual([true, false]);
    permit();
    expect(circuitBreakers.capacity('acme')).toBe(Number.POSITIVE_INFINITY);
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 1 }]);
  });

  test('each is probed for itself', () => {
    fail(5, down, noisy);
    fail(5);
    now += 2_000;
    expect(circuitBreakers.capacity('acme')).toBe(2);
    expect(permit(noisy).probe).toBe(true);
    expect(permit().probe).toBe(true);
  });

  test('reset closes all of an integration', () => {
    fail(5, down, noisy);
    fail(5);
    circuitBreakers.reset('acme');
    expect([isOpen(noisy), isOpen()]).toEqual([false, false]);
  });
});

describe('changed integration', () => {
  const changedTo = (version: number) => {
    const find = async () => ({ integration: keyOf({ version }).integration }) as ResolvedIntegration;
    return closeOutdated(circuitBreakers, { find }, 'acme');
  };

  test('circuits of its older versions close; what has failed since is not forgotten when the change is reported again', async () => {
    fail(5);
    fail(4, down, { version: 2, endpoint: 'https://b.test/token' });
    await changedTo(2);
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 0 }]);
    await changedTo(2);
    fail(1, down, { version: 2, endpoint: 'https://b.test/token' });
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 1 }]);
    await changedTo(2);
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 1 }]);
    await changedTo(3);
    expect(circuitBreakers.states()).toEqual([]);
  });

  test('that is deleted: all its circuits close; while the store is away, none does', async () => {
    fail(5);
    await closeOutdated(circuitBreakers, { find: () => Promise.reject(new Error('away')) }, 'acme');
    expect(isOpen()).toBe(true);
    const gone = new Refusal({ code: 'not_found', what: 'integration', id: 'acme' });
    await closeOutdated(circuitBreakers, { find: async () => gone }, 'acme');
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
    expect(circuitBreakers.admit(keyOf())).toHaveProperty('retryIn');
  });

  test('closes when the probe succeeds', () => {
    now += 2_000;
    circuitBreakers.report(permit(), 'answered');
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

  test('the connection whose probe failed waits for as long again: others go first', () => {
    now += 2_000;
    circuitBreakers.report(permit({ connection: 'con_1' }), down);
    now += 4_000;
    expect([isOpen({ connection: 'con_1' }), isOpen({ connection: 'con_2' })]).toEqual([true, false]);
    now += 4_000;
    expect(isOpen({ connection: 'con_1' })).toBe(false);
  });

  test('does not stay open longer because of requests that were sent before it opened', () => {
    now += 10_000;
    circuitBreakers.report(permit(), 'answered');
    const inFlight = Array.from({ length: 20 }, () => permit());
    for (const one of inFlight) circuitBreakers.report(one, down);
    now += 2_000;
    expect(isOpen()).toBe(false);
  });

  test('is not closed by the late success of a request that was sent before it opened', () => {
    now += 2_000;
    circuitBreakers.report(permit(), 'answered');
    const late = permit();
    fail(5);
    circuitBreakers.report(late, 'answered');
    expect(isOpen()).toBe(true);
  });

  test('permits the next probe when the first was not sent', () => {
    now += 2_000;
    circuitBreakers.release(permit());
    expect(permit().probe).toBe(true);
  });

  test.each([
    ['success', 'answered'],
    ['failure', down],
    ['Retry-After', failure('throttled', { retryAfter: 50 })],
  ] as [string, RefreshReport][])('permits a request that bypasses it, whose %s does not change it', (_, report) => {
    const bypassing = permit({}, true);
    expect(bypassing.probe).toBe(false);
    circuitBreakers.report(bypassing, report);
    circuitBreakers.release(bypassing);
    expect(circuitBreakers.admit(keyOf())).toHaveProperty('retryIn', 2_000);
  });

  test('is closed for a new version of the integration, and for one of the same name that was made later', () => {
    expect(isOpen({ version: 2 })).toBe(false);
    fail(5, down, { version: 2 });
    expect(isOpen({ version: 2 })).toBe(true);
    expect(isOpen({ version: 1, createdAt: 8 })).toBe(false);
  });

  test('of a new version: a late result of the old version changes nothing', () => {
    now += 2_000;
    const late = permit();
    fail(5, down, { version: 2 });
    circuitBreakers.report(late, 'answered');
    circuitBreakers.report(permit({ version: 1 }), 'answered');
    expect(isOpen({ version: 2 })).toBe(true);
  });

  test('shows in the metrics, as does the probe', () => {
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 1 }]);
    now += 2_000;
    permit();
    expect(circuitBreakers.states()).toEqual([{ integration: 'acme', state: 0.5 }]);
  });
});
