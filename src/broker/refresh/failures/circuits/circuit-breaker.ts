// Circuit breakers: one for each token endpoint of an integration. When it fails for several connections, one request at a
// time probes whether that has passed, and no other is sent. Connections whose parameters end up in the URL of the token
// endpoint (a shop, a tenant) have endpoints, and so circuits, of their own. Of this process, in memory.
import { CIRCUIT_RETRY_AFTER_MAX_MS, CIRCUIT_RUN_TTL_MS, MIN_RETRY_AFTER_MS } from '../../../../domain/time-limits.ts';
import type { Clock, Logger, ProviderFault } from '../../../../ports/index.ts';
import { ageOf, type Circuit, type CircuitKey, createCircuits, type FailureCause, type Open } from './circuit.ts';
import { type CircuitPolicy, TOKEN_ENDPOINTS } from './circuit-policy.ts';
import { type CircuitViews, createCircuitViews } from './circuit-views.ts';
import { createFailureRate } from './failure-rate.ts';

export type { CircuitKey, FailureCause } from './circuit.ts';

export interface OpenCircuit {
  /** Milliseconds until the next probe. */
  retryIn: number;
  /** What opened it. */
  fault: ProviderFault;
  /** Set where this connection may go next: resolves when the probe under way has ended. */
  probeEnded?: Promise<void> | undefined;
}

/** `answered`: the endpoint works. `refused`: it works, and this connection's grant is dead. */
export type RefreshReport = 'answered' | 'refused' | { cause: FailureCause; fault: ProviderFault };

/** Permission to send one request. Its holder calls `report` with the result, or `release` if it was not sent. */
export interface Permit {
  key: CircuitKey;
  probe: boolean;
  /** The state that permitted it; undefined: a newer version of the integration is known, and the result says nothing of it. */
  circuit: Circuit | undefined;
  /** How often the circuit had opened and closed by then. */
  epoch: number;
}

export interface CircuitBreakers extends CircuitViews {
  /** The open circuit, if nothing may be sent now; undefined: a request may be queued. */
  blocked(key: CircuitKey): OpenCircuit | undefined;
  /**
   * A permit, unless the circuit is open. The first one after its pause is the probe. `bypass`: the request cannot wait, and
   * is permitted in any case.
   */
  admit(key: CircuitKey, bypass?: boolean): Permit | OpenCircuit;
  /** The result of a permitted request. One that was permitted before the circuit opened neither closes nor prolongs it. */
  report(permit: Permit, report: RefreshReport): void;
  /** The request was not sent. */
  release(permit: Permit): void;
  /** For how long the circuit has been open for this cause, in milliseconds; undefined: it is not. */
  openFor(key: CircuitKey, cause: FailureCause): number | undefined;
  /** Closes it, although no probe has succeeded. */
  close(key: CircuitKey): void;
  /** How many requests of an integration may be sent now: 0, 1 for each probe, or `Infinity` while an endpoint is not blocked. */
  capacity(integration: string): number;
  /** The integration was changed: closes its circuits; with `current`, only those of an older version. */
  reset(integration: string, current?: CircuitKey['integration']): void;
}

/**
 * A circuit that opened because connections were refused is probed at once, and one at a time, by this many connections that
 * were not: those refused may all be of one kind.
 */
const NEWCOMERS = 5;
const CAUSES = ['outage', 'throttled', 'client_fault', 'dead_grants'] as const satisfies FailureCause[];
const MAX_CONNECTIONS = 1_000;

interface Parts {
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
  random: () => number;
  policy?: CircuitPolicy | undefined;
}

export function createCircuitBreakers({ clock, log, random, policy = TOKEN_ENDPOINTS }: Parts): CircuitBreakers {
  const circuits = createCircuits(() => policy.rate && createFailureRate(policy.rate));

  const hasFailed = ({ failed }: Circuit, connection: string) =>
    Object.values(failed).some((connections) => connections.has(connection));

  function isNewcomer(circuit: Circuit, open: Open, connection: string): boolean {
    const isRefusal = open.cause === 'client_fault' || open.cause === 'dead_grants';
    return isRefusal && open.newcomers < NEWCOMERS && !hasFailed(circuit, connection);
  }

  function whyBlocked(circuit: Circuit, connection: string): OpenCircuit | undefined {
    const { open } = circuit;
    if (!open || isNewcomer(circuit, open, connection)) return undefined;
    const until = open.until + (open.lastProber === connection ? open.pause : 0);
    const left = until - clock.monotonic();
    if (left <= 0 && !open.probe) return undefined;
    return { retryIn: Math.max(left, MIN_RETRY_AFTER_MS), fault: open.fault };
  }

  function openCircuit(circuit: Circuit, cause: FailureCause, fault: ProviderFault, prober: string | undefined): void {
    const now = clock.monotonic();
    const before = circuit.open;
    const times = (before?.times ?? 0) + 1;
    const asked = Math.min((fault.retryAfter ?? 0) * 1_000, CIRCUIT_RETRY_AFTER_MAX_MS);
    const pause = Math.max(asked, policy.pause(times, random()));
    // One alert for all connections and all probes.
    if (!before) {
      const { integration, endpoint } = circuit.key;
      const fields = { integration: integration.id, endpoint, cause, kind: fault.kind, code: fault.code };
      log.error(
        { ...fields, detail: fault.detail },
        'circuit breaker: opened, one request at a time probes the provider',
      );
      circuit.epoch++;
    }
    const isSame = before?.cause === cause;
    circuit.open = {
      cause,
      fault,
      since: isSame ? before.since : now,
      until: now + pause,
      pause,
      times,
      newcomers: isSame ? before.newcomers : 0,
      probe: undefined,
      lastProber: prober,
    };
    before?.probe?.end();
  }

  function close(circuit: Circuit): void {
    const { open } = circuit;
    if (!open && circuit.lastFailureAt === undefined) return;
    circuit.lastFailureAt = undefined;
    circuit.failures = 0;
    circuit.counted.clear();
    for (const cause of CAUSES) circuit.failed[cause].clear();
    if (!open) return;
    circuit.rate?.clear();
    const { integration, endpoint } = circuit.key;
    log.info({ integration: integration.id, endpoint }, 'circuit breaker: closed, requests are sent again');
    circuit.open = undefined;
    circuit.epoch++;
    open.probe?.end();
  }

  function note({ failed }: Circuit, connection: string, cause: FailureCause): void {
    if (failed[cause].size < MAX_CONNECTIONS) failed[cause].add(connection);
  }

  function countInRow(circuit: Circuit, connection: string): void {
    const most = policy.failuresEach;
    if (most === undefined) return void circuit.failures++;
    const { counted } = circuit;
    const before = counted.get(connection) ?? 0;
    if (before >= most || (before === 0 && counted.size >= MAX_CONNECTIONS)) return;
    counted.set(connection, before + 1);
    circuit.failures++;
  }

  /** Counts the failure, and says whether that many are the endpoint's fault. */
  function count(circuit: Circuit, connection: string, cause: FailureCause): boolean {
    const now = clock.monotonic();
    if (now - (circuit.lastFailureAt ?? now) > CIRCUIT_RUN_TTL_MS && !circuit.open) close(circuit);
    circuit.lastFailureAt = now;
    const { failed } = circuit;
    note(circuit, connection, cause);
    circuit.rate?.note(connection, true, now);
    if (cause === 'dead_grants') return true;
    if (cause !== 'outage' && failed[cause].size >= policy.connections) return true;
    if (cause === 'client_fault') return false;
    countInRow(circuit, connection);
    const connections = new Set([...failed.outage, ...failed.throttled]).size;
    if (circuit.failures >= policy.failures && connections >= policy.connections) return true;
    return circuit.rate?.isTooHigh(policy.connections, now) ?? false;
  }

  function startProbe(circuit: Circuit, open: Open, connection: string): void {
    const isEarly = open.until > clock.monotonic() && isNewcomer(circuit, open, connection);
    if (isEarly) open.newcomers++;
    const { promise, resolve } = Promise.withResolvers<void>();
    open.probe = { ended: promise, end: resolve, isNewcomer: isEarly };
  }

  function endProbe(circuit: Circuit): void {
    const probe = circuit.open?.probe;
    if (circuit.open) circuit.open.probe = undefined;
    probe?.end();
  }

  /** A request that was permitted before the circuit opened: it says who was refused, or that the next probe may be made. */
  function noteLate(circuit: Circuit, connection: string, report: RefreshReport): void {
    const { open } = circuit;
    if (!open) return;
    if (typeof report === 'object') note(circuit, connection, report.cause);
    else if (report === 'answered' && (open.cause === 'client_fault' || open.cause === 'dead_grants'))
      open.until = Math.min(open.until, clock.monotonic());
  }

  const isCurrent = (circuit: Circuit, { epoch }: Permit): boolean => !circuit.isForgotten && circuit.epoch === epoch;

  return {
    blocked(key) {
      const circuit = circuits.of(key);
      return circuit && whyBlocked(circuit, key.connection);
    },

    admit(key, bypass = false) {
      const circuit = circuits.of(key);
      const permit: Permit = { key, probe: false, circuit, epoch: circuit?.epoch ?? 0 };
      const open = circuit?.open;
      if (!circuit || !open) return permit;
      const refusal = whyBlocked(circuit, key.connection);
      if (refusal) return bypass ? permit : refusal;
      if (open.probe) {
        if (bypass) return permit;
        return { retryIn: MIN_RETRY_AFTER_MS, fault: open.fault, probeEnded: open.probe.ended };
      }
      startProbe(circuit, open, key.connection);
      return { ...permit, probe: true };
    },

    report(permit, report) {
      const { circuit, key, probe } = permit;
      if (!circuit) return;
      const { open } = circuit;
      if (!isCurrent(circuit, permit)) return noteLate(circuit, key.connection, report);
      if (report === 'answered' || (report === 'refused' && open?.cause !== 'dead_grants')) {
        circuit.rate?.note(key.connection, false, clock.monotonic());
        // While it is open, only the probe shows that it works again.
        if (!open || probe) close(circuit);
        return;
      }
      if (report === 'refused') {
        if (probe && open) openCircuit(circuit, open.cause, open.fault, key.connection);
        return;
      }
      const isEndpoints = count(circuit, key.connection, report.cause);
      if (!open) {
        if (isEndpoints) openCircuit(circuit, report.cause, report.fault, undefined);
      } else if (probe) {
        if (open.probe?.isNewcomer) endProbe(circuit);
        else openCircuit(circuit, report.cause, report.fault, key.connection);
      }
    },

    release(permit) {
      const { circuit, probe } = permit;
      if (probe && circuit && isCurrent(circuit, permit)) endProbe(circuit);
    },

    openFor(key, cause) {
      const open = circuits.of(key)?.open;
      return open?.cause === cause ? clock.monotonic() - open.since : undefined;
    },

    close(key) {
      const circuit = circuits.of(key);
      if (circuit) close(circuit);
    },

    capacity(integration) {
      let probes = 0;
      let isKnown = false;
      for (const { open } of circuits.ofIntegration(integration)) {
        if (!open) return Number.POSITIVE_INFINITY;
        isKnown = true;
        if (!open.probe && open.until <= clock.monotonic()) probes++;
      }
      return isKnown ? probes : Number.POSITIVE_INFINITY;
    },

    reset(integration, current) {
      for (const circuit of circuits.ofIntegration(integration)) {
        if (current && ageOf(circuit.key.integration, current) <= 0) continue;
        endProbe(circuit);
        circuits.forget(circuit);
      }
    },

    ...createCircuitViews(circuits, clock),
  };
}
