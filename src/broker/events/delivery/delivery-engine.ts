// The delivery engine: claims what is due, endpoint by endpoint, and sends it. It is woken by the commits of this process, and
// looks every second for what is due besides: retries, and what another process has left.
import { isGivenUp } from '../../../domain/delivery-schedule.ts';
import {
  DELIVERY_CLAIM_MS,
  DELIVERY_POLL_MS,
  DELIVERY_WAKE_PAUSE_MS,
  SHUTDOWN_DELIVERY_GRACE_MS,
} from '../../../domain/time-limits.ts';
import type { DisabledReason, WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import type {
  ClaimedDelivery,
  Clock,
  EventStore,
  Logger,
  Telemetry,
  WebhookEndpointStore,
} from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import { disabledEvent } from '../endpoints/own-events.ts';
import { type Attempt, type AttemptParts, createAttempts } from './attempt.ts';
import { circuitKey, circuitReport, type DeliveryCircuits } from './circuits.ts';
import { createLanes, type Lane } from './lanes.ts';
import { createOutcomeWriter } from './outcome-writer.ts';

export interface DeliveryEngine {
  /** Delivers what is due, now, after each commit with events, and every `everyMs`. */
  start(everyMs?: number): void;
  /** Looks for what is due now at an endpoint that was changed, or where someone asks for an attempt: its circuit closes. */
  retryNow(endpoint: string): void;
  /** Synchronous: from now on nothing is claimed. */
  stopClaiming(): void;
  /** Fulfilled when nothing is in flight; what takes longer than the grace is aborted, and attempted again later. */
  stop(): Promise<void>;
}

export interface DeliveryEngineParts extends AttemptParts {
  store: Pick<EventStore, 'onEvents'> &
    Pick<
      WebhookEndpointStore,
      'dueEndpoints' | 'claimDeliveries' | 'settleDeliveries' | 'webhookEndpoint' | 'disableWebhookEndpoint'
    >;
  circuits: DeliveryCircuits;
  callers: {
    /** Whether it can identify itself at all. */
    canAct(callerId: string, now: number): boolean;
  } & AttemptParts['callers'];
  access: Pick<Access, 'recordSystem'>;
  telemetry: Pick<Telemetry, 'delivery' | 'endpointDisabled'>;
  clock: Clock;
  log: Logger;
}

/** Endpoints that are claimed for at the same time. */
const FILLS = 16;
/** More than any lanes of one endpoint. */
const MANY = 1_000;

export function createDeliveryEngine(parts: DeliveryEngineParts): DeliveryEngine {
  const { store, circuits, callers, access, telemetry, clock, log } = parts;
  const attempts = createAttempts(parts);
  const lanes = createLanes();
  const outcomes = createOutcomeWriter({ store, clock, log });
  const inFlight = new Set<Promise<void>>();
  const filling = new Set<string>();
  /** Endpoints whose callers cannot act, as far as it was noticed. */
  const waiting = new Set<string>();
  const aborted = new AbortController();
  let isStopped = false;
  let graceEnds = 0;
  let isLooking = false;
  let mustLookAgain = false;
  let pause: NodeJS.Timeout | undefined;
  let ticks: NodeJS.Timeout | undefined;
  let forget: () => void = () => {};

  const track = (work: Promise<void>): void => {
    inFlight.add(work);
    void work.finally(() => inFlight.delete(work));
  };

  function wake(): void {
    if (isStopped) return;
    if (isLooking || pause) {
      mustLookAgain = true;
      return;
    }
    isLooking = true;
    track(
      look().finally(() => {
        isLooking = false;
        if (isStopped) return;
        pause = setTimeout(() => {
          pause = undefined;
          if (!mustLookAgain) return;
          mustLookAgain = false;
          wake();
        }, DELIVERY_WAKE_PAUSE_MS);
      }),
    );
  }

  /** Of the endpoints that have waited longest first. Never rejects. */
  async function look(): Promise<void> {
    try {
      const due = await store.dueEndpoints(clock.now());
      const next = due.values();
      const work = async () => {
        for (const endpoint of next) await fill(endpoint);
      };
      await Promise.all(Array.from({ length: Math.min(FILLS, due.length) }, work));
    } catch (error) {
      log.error({ err: error }, 'deliveries: looking for due ones failed, will retry');
    }
  }

  /** Without a valid key, a caller could not read these events either: they wait until it has one. */
  function mayBeTold({ id, callerId }: WebhookEndpoint, now: number): boolean {
    const can = callers.canAct(callerId, now);
    if (can) waiting.delete(id);
    else if (!waiting.has(id)) {
      waiting.add(id);
      log.warn({ endpoint: id, caller: callerId }, 'webhook endpoint: its caller has no valid key, deliveries wait');
    }
    return can;
  }

  /** Claims as much for an endpoint as it has lanes for. Never rejects. */
  async function fill(endpoint: string): Promise<void> {
    if (isStopped || filling.has(endpoint)) return;
    const free = lanes.take(endpoint, Math.min(MANY, circuits.capacity(endpoint)));
    if (free.length === 0) return;
    filling.add(endpoint);
    let claimed: ClaimedDelivery[] = [];
    let target: WebhookEndpoint | undefined;
    try {
      target = await store.webhookEndpoint(endpoint);
      const now = clock.now();
      if (target?.enabled && !isStopped && mayBeTold(target, now))
        claimed = await store.claimDeliveries(endpoint, now, now + DELIVERY_CLAIM_MS, free.length);
    } catch (error) {
      log.error({ err: error, endpoint }, 'deliveries: claiming failed, will retry');
    } finally {
      filling.delete(endpoint);
      for (const lane of free.slice(claimed.length)) lane.release();
    }
    const mayHaveMore = claimed.length === free.length;
    for (const [i, one] of claimed.entries()) track(deliver(one, target!, free[i]!, mayHaveMore));
  }

  /** Never rejects. */
  async function deliver(
    one: ClaimedDelivery,
    endpoint: WebhookEndpoint,
    lane: Lane,
    mayHaveMore: boolean,
  ): Promise<void> {
    const wasFull = lanes.isFull();
    const started = clock.monotonic();
    const permit = circuits.admit(circuitKey(endpoint, one.delivery.id), true);
    let ms: number | undefined;
    try {
      const attempt = await attempts.make(one, endpoint, aborted.signal);
      if ('probe' in permit) {
        if (attempt?.response) circuits.report(permit, circuitReport(attempt.response));
        else circuits.release(permit);
      }
      if (!attempt) return;
      ms = clock.monotonic() - started;
      const { outcome } = attempt;
      telemetry.delivery(outcome.status);
      await outcomes.write(one.delivery.id, outcome);
      if (outcome.status !== 'delivered') await giveUp(endpoint, one.delivery.lastAttemptAt, attempt);
    } catch (error) {
      const fields = { err: error, delivery: one.delivery.id, endpoint: endpoint.id };
      log.error(fields, 'webhook endpoint: cannot be disabled now, its next failure will');
    } finally {
      lane.release(ms);
      // Of an `ordered` endpoint, what waited for this one may be due now.
      if (wasFull) wake();
      else if (mayHaveMore || endpoint.ordered) void fill(endpoint.id);
    }
  }

  /** Disables an endpoint that is gone, or has only failed for days. Rejects with `StoreError`. */
  async function giveUp(
    endpoint: WebhookEndpoint,
    attemptedBefore: number | null,
    { outcome, response }: Attempt,
  ): Promise<void> {
    const reason: DisabledReason | undefined =
      response?.kind === 'answered' && response.status === 410
        ? 'gone'
        : isGivenUp(endpoint.failingSince, attemptedBefore, outcome.at)
          ? 'failing'
          : undefined;
    if (reason === undefined) return;
    const by = access.recordSystem('webhook_endpoint.disabled', { detail: `${endpoint.id} ${reason}` });
    const event = disabledEvent(endpoint, reason, clock.now());
    if ((await store.disableWebhookEndpoint(endpoint.id, reason, event, by)) === 'unchanged') return;
    telemetry.endpointDisabled(reason);
    log.warn({ endpoint: endpoint.id, caller: endpoint.callerId, reason }, 'webhook endpoint: disabled');
  }

  function stopClaiming(): void {
    if (isStopped) return;
    isStopped = true;
    graceEnds = clock.monotonic() + SHUTDOWN_DELIVERY_GRACE_MS;
    forget();
    clearInterval(ticks);
    clearTimeout(pause);
  }

  return {
    start(everyMs = DELIVERY_POLL_MS) {
      forget = store.onEvents(wake);
      ticks = setInterval(wake, everyMs);
      wake();
    },
    retryNow(endpoint) {
      circuits.reset(endpoint);
      wake();
    },
    stopClaiming,
    async stop() {
      stopClaiming();
      const grace = setTimeout(() => aborted.abort(), Math.max(0, graceEnds - clock.monotonic()));
      while (inFlight.size > 0) await Promise.allSettled([...inFlight]);
      clearTimeout(grace);
    },
  };
}
