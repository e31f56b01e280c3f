// Events and deliveries: what both stores decide and write.
import { and, type Column, eq, type SQL } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Caller } from '../../domain/caller.ts';
import { hears, type Listener } from '../../domain/event-audience.ts';
import { eventOfConnection, eventOfIntegration } from '../../domain/event-of.ts';
import type { EventType, NewEvent } from '../../domain/events.ts';
import { AUDIENCE_MAX_AGE_MS } from '../../domain/time-limits.ts';
import type { WebhookEndpoint } from '../../domain/webhook-endpoint.ts';
import type { DeliveryOutcome, EndingConnection, EventStore } from '../../ports/index.ts';

/**
 * The row of `event_sequences` that tells whether who hears what has changed: each change of an endpoint or of the permissions of
 * a caller gives it another random number. It is compared in the transaction that writes an event.
 */
export const AUDIENCE = 'audience';
/** Of all random numbers: one that was rolled back is not met again. */
export const AUDIENCE_VERSIONS = 2 ** 31 - 1;

/** The listeners in memory, by the version that they were read at. */
export class Audience {
  /** Of the row of a caller. */
  isAuthentic: (caller: Caller) => boolean = () => true;
  #known: { version: number | undefined; at: number; listeners: Listener[] } | undefined;
  #now: () => number;

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Undefined: they have to be read. */
  at(version: number | undefined): Listener[] | undefined {
    const known = this.#known;
    return known && known.version === version && this.#now() - known.at < AUDIENCE_MAX_AGE_MS
      ? known.listeners
      : undefined;
  }

  /** `caller`: of the endpoint; null: it has no row. */
  set(version: number | undefined, rows: (Omit<Listener, 'permissions'> & { caller: Caller | null })[]): Listener[] {
    const listeners = rows.map(({ caller, ...endpoint }) => ({
      ...endpoint,
      permissions: caller && this.isAuthentic(caller) ? caller.permissions : [],
    }));
    this.#known = { version, at: this.#now(), listeners };
    return listeners;
  }
}

/** A delivery for each endpoint that hears the event. The id is ordered as the events are, and the same at every attempt. */
export const deliveriesOf = (event: NewEvent, listeners: readonly Listener[]) =>
  listeners
    .filter((listener) => hears(listener, event))
    .map(({ id }) => ({ id: `dlv_${withoutPrefix(event.id)}${withoutPrefix(id)}`, endpointId: id, eventId: event.id }));

const withoutPrefix = (id: string) => id.slice(id.indexOf('_') + 1);

/** `undefined`: the connection is not there. */
export function eventOfAudit(
  type: EventType,
  audit: AuditEntry,
  connection: Parameters<typeof eventOfConnection>[2] | undefined,
): NewEvent | undefined {
  if (audit.connectionId === null) return eventOfIntegration(type, audit);
  return connection && eventOfConnection(type, audit, connection);
}

/** What an attempt changes on its delivery. */
export const settledFields = ({ status, at, httpStatus, error, response, nextAt }: DeliveryOutcome) => ({
  status,
  nextAt,
  claimedUntil: null,
  lastAttemptAt: at,
  lastStatus: httpStatus,
  lastError: error,
  lastResponse: response,
  deliveredAt: status === 'delivered' ? at : null,
});

export const SETTLED_FIELDS = [
  'status',
  'nextAt',
  'claimedUntil',
  'lastAttemptAt',
  'lastStatus',
  'lastError',
  'lastResponse',
  'deliveredAt',
] as const satisfies (keyof ReturnType<typeof settledFields>)[];

/** What a delivery is that is to be sent again. */
export const dueAgain = (now: number) =>
  ({ status: 'pending', attempts: 0, nextAt: now, claimedUntil: null, deliveredAt: null }) as const;

/** What attempts change on an endpoint: `failingSince` is set, or only if it is null. */
export interface EndpointFailures {
  endpointId: string;
  hadSuccess: boolean;
  failingSince: number | null;
}

/** By endpoint, in an order that all replicas keep. */
export function failuresOf(outcomes: { endpointId: string; outcome: DeliveryOutcome }[]): EndpointFailures[] {
  const byEndpoint = new Map<string, EndpointFailures>();
  for (const { endpointId, outcome } of [...outcomes].sort((a, b) => a.outcome.at - b.outcome.at)) {
    const { status, at } = outcome;
    const known = byEndpoint.get(endpointId) ?? { endpointId, hadSuccess: false, failingSince: null };
    if (status === 'delivered') byEndpoint.set(endpointId, { endpointId, hadSuccess: true, failingSince: null });
    else if (status !== 'pending') byEndpoint.set(endpointId, { ...known, failingSince: known.failingSince ?? at });
  }
  return [...byEndpoint.values()].sort((a, b) => (a.endpointId < b.endpointId ? -1 : 1));
}

/** Whether a delivery that has come to this releases the next one of its connection. */
export const hasEnded = ({ status }: Pick<DeliveryOutcome, 'status'>): boolean =>
  status === 'delivered' || status === 'dead';

/** Deliveries that are deleted in one commit: some milliseconds of SQLite, which runs nothing else meanwhile. */
export const DELETED_AT_ONCE = 1_000;
/** Due deliveries of an ordered endpoint that one commit examines. */
export const EXAMINED_PER_CLAIM = 200;

/** What is told once. */
export type NoticeStore = Pick<
  EventStore,
  'setIntegrationFault' | 'integrationFaults' | 'endingConnections' | 'putReauthNotice'
>;

/** Whether the connection still ends as it did, and its owner was told nothing else meanwhile. */
export const isTold = (current: EndingConnection | undefined, known: EndingConnection): boolean =>
  current?.dueAt === known.dueAt &&
  current.told?.stage === known.told?.stage &&
  current.told?.dueAt === known.told?.dueAt;

/** The parts of `WebhookEndpointStore`. */
export type EndpointStore =
  | 'addWebhookEndpoint'
  | 'webhookEndpoint'
  | 'webhookEndpoints'
  | 'updateWebhookEndpoint'
  | 'deleteWebhookEndpoint'
  | 'disableWebhookEndpoint';
export type DeliveryStore =
  | 'dueEndpoints'
  | 'claimDeliveries'
  | 'settleDeliveries'
  | 'retryDelivery'
  | 'replayDeliveries';

/** Whether the secrets of an endpoint, and what they are bound to, are as they were read; without `read`, whatever they are. */
export const isAsRead = (
  endpoints: Record<'url' | 'secret', Column>,
  read: Pick<WebhookEndpoint, 'url' | 'secret'> | undefined,
): SQL | undefined => read && and(eq(endpoints.url, read.url), eq(endpoints.secret, read.secret));
