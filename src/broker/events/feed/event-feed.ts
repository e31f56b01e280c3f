// The event feed: what happened, in the order of the commits, as far as the caller's permissions cover it.
import type { Principal } from '../../../domain/caller.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import { mayHear } from '../../../domain/event-audience.ts';
import type { EventType, StoredEvent } from '../../../domain/events.ts';
import { type Clock, type EventStore, type Logger, type Vault, VaultError } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import { type EventPayload, eventPayload, unreadablePayload } from '../event-payload.ts';
import { createEventWatch } from './event-watch.ts';

export interface FeedEvent extends EventPayload {
  id: string;
}

export interface FeedQuery {
  /** The place to go on after; `now`: the end of the feed. */
  after: number | 'now';
  types: EventType[] | undefined;
  limit: number;
  /** How long to wait for an event if there is none, in milliseconds. */
  waitMs: number;
  /** Aborted when the client has gone. */
  signal: AbortSignal;
  /** The caller as it is now; undefined: its credential ended meanwhile. */
  current: () => Principal | undefined;
}

export interface FeedPage {
  data: FeedEvent[];
  /** The place to go on after. */
  position: number;
}

export interface EventFeed {
  /**
   * Events after a place, oldest first; those that are not covered are left out. A page may be shorter than its limit although
   * more follow. Too many who wait: it does not.
   */
  list(call: Call, query: FeedQuery): Promise<FeedPage | Refusal>;
  /** `not_found`, if it is not covered. */
  get(call: Call, id: string): Promise<FeedEvent | Refusal>;
  /** Answers all who wait; later ones do not wait. */
  stop(): void;
}

interface Parts {
  store: Pick<EventStore, 'event' | 'eventHorizon' | 'eventsBetween' | 'onEvents'>;
  vault: Pick<Vault, 'decrypt'>;
  access: Access;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
  /** How often events of other processes are looked for while someone waits, in ms. */
  everyMs?: number | undefined;
}

/** Events in one step, and in one page. */
const STEP = 100;
const EXAMINED_PER_PAGE = 5_000;
/** Characters of the bodies of a page. */
const MAX_PAGE_SIZE = 4_000_000;
/** Requests that wait in this process; those of one caller. */
const MAX_WAITING = 1_000;
const MAX_WAITING_OF_CALLER = 50;

interface Part extends FeedPage {
  /** Nothing follows yet. */
  isEnd: boolean;
}

export function createEventFeed({ store, vault, access, clock, log, everyMs }: Parts): EventFeed {
  const watch = createEventWatch({ store, log, everyMs });
  const waiting = new Map<string, number>();
  let allWaiting = 0;

  /** A body that does not open, which the vault reports, leaves the rest of the feed readable. */
  function present(event: StoredEvent): FeedEvent {
    try {
      return { id: event.id, ...eventPayload(vault, event) };
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      return { id: event.id, ...unreadablePayload(event) };
    }
  }

  async function read(caller: Principal['caller'], after: number, { types, limit }: FeedQuery): Promise<Part> {
    const data: FeedEvent[] = [];
    const horizon = await store.eventHorizon();
    let position = after;
    let size = 0;
    for (let examined = 0; position < horizon && examined < EXAMINED_PER_PAGE; ) {
      const events = await store.eventsBetween(position, horizon, types, STEP);
      for (const event of events) {
        position = event.position;
        if (!mayHear(caller, event)) continue;
        data.push(present(event));
        size += event.body?.length ?? 0;
        if (data.length === limit || size > MAX_PAGE_SIZE) return { data, position, isEnd: false };
      }
      examined += events.length;
      if (events.length < STEP) position = horizon;
    }
    return { data, position, isEnd: position >= horizon };
  }

  /** False: too many do. */
  function startWaiting(caller: string): boolean {
    const own = waiting.get(caller) ?? 0;
    if (own >= MAX_WAITING_OF_CALLER || allWaiting >= MAX_WAITING) return false;
    waiting.set(caller, own + 1);
    allWaiting++;
    return true;
  }
  function endWaiting(caller: string): void {
    const own = waiting.get(caller)! - 1;
    if (own === 0) waiting.delete(caller);
    else waiting.set(caller, own);
    allWaiting--;
  }

  async function readOrWait(call: Call, query: FeedQuery, since: number): Promise<FeedPage> {
    const { types, waitMs, signal, current } = query;
    const { id } = call.principal.caller;
    const until = clock.monotonic() + waitMs;
    let caller = call.principal.caller;
    let part = await read(caller, since, query);
    if (part.data.length > 0 || !part.isEnd || waitMs === 0 || !startWaiting(id)) return part;
    const isOfInterest = (event: StoredEvent) =>
      (types === undefined || types.includes(event.type)) && mayHear(caller, event);
    try {
      for (;;) {
        const position = await watch.wait(part.position, isOfInterest, until - clock.monotonic(), signal);
        const now = current()?.caller;
        if (!now || signal.aborted) return { data: [], position };
        caller = now;
        part = await read(caller, position, query);
        const isOver = watch.isStopped() || clock.monotonic() >= until;
        if (part.data.length > 0 || !part.isEnd || isOver) return part;
      }
    } finally {
      endWaiting(id);
    }
  }

  return {
    async list(call, query) {
      const { permissions } = call.principal.caller;
      if (!permissions.some(({ actions }) => actions.includes('events') || actions.includes('*'))) {
        const denied = access.denied(call, 'events', '*', '*');
        if (denied) return denied;
      }
      const since = query.after === 'now' ? await store.eventHorizon() : query.after;
      const { data, position } = await readOrWait(call, query, since);
      if (data.length > 0) access.noteRead(call, 'event.read', { integration: '*', owner: '*' });
      return { data, position };
    },

    async get(call, id) {
      const event = await store.event(id);
      if (!event || !mayHear(call.principal.caller, event)) return refuse({ code: 'not_found', what: 'event', id });
      const { integration, owner, connectionId } = event;
      access.noteRead(call, 'event.read', { integration, owner, connectionId, detail: id });
      return present(event);
    },

    stop: watch.stop,
  };
}
