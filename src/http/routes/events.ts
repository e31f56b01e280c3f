// Events: the feed, and a single one.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { EventFeedPage, EventFeedQuery, EventView, EXAMPLE } from '../../api/index.ts';
import type { CallerCache } from '../../broker/cache/index.ts';
import type { EventFeed, FeedEvent } from '../../broker/events/index.ts';
import { refuse } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { respond } from '../errors/respond.ts';
import { idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';

const common = { tags: ['events'], security: SECURITY };
const DEFAULT_LIMIT = 100;

const list = createRoute({
  ...common,
  operationId: 'listEvents',
  method: 'get',
  path: '/v1/events',
  summary: 'Read the event feed',
  description:
    'What happened at the connections and integrations that the `events` grants of the caller cover, oldest first. With `wait`, the answer is held until something happens (long polling).',
  request: { query: EventFeedQuery },
  responses: { 200: json(EventFeedPage, 'A page of events'), ...problems('forbidden') },
});

const get = createRoute({
  ...common,
  operationId: 'getEvent',
  method: 'get',
  path: '/v1/events/{id}',
  summary: 'Get an event',
  request: { params: z.object({ id: idOf('event', EXAMPLE.message) }) },
  responses: { 200: json(EventView, 'The event'), ...problems('not_found') },
});

const INVALID_CURSOR = {
  code: 'invalid_request',
  detail: 'The cursor is not valid. Use a next_cursor of this list.',
} as const;

interface Parts {
  eventFeed: EventFeed;
  callerCache: Pick<CallerCache, 'find'>;
  clock: Clock;
}

/** Its data is as it was when it happened, by whatever version. */
const present = (event: FeedEvent) => event as unknown as z.infer<typeof EventView>;

export function eventRoutes({ eventFeed, callerCache, clock }: Parts) {
  const app = router();
  app.openapi(list, async (c) => {
    const { after, types, limit = DEFAULT_LIMIT, wait = 0 } = c.req.valid('query');
    const from = placeOf(c, after);
    if (from === undefined) return respond(c, refuse(INVALID_CURSOR), () => c.json({ data: [], next_cursor: '' }, 200));
    const presented = c.req.header('authorization')?.replace(/^bearer /i, '') ?? '';
    const gone = hangUpSignal(c);
    try {
      const found = await eventFeed.list(c.get('call'), {
        after: from,
        types,
        limit,
        waitMs: wait * 1_000,
        signal: gone.signal,
        current: () => callerCache.find(presented, clock.now()),
      });
      // The same cursor again says that nothing follows yet.
      const cursorOf = (position: number) =>
        after !== undefined && position === from ? after : c.get('cursors').encrypt(list.path, String(position));
      return respond(c, found, ({ data, position }) =>
        c.json({ data: data.map(present), next_cursor: cursorOf(position) }, 200),
      );
    } finally {
      gone.forget();
    }
  });
  return app.openapi(get, async (c) =>
    respond(c, await eventFeed.get(c.get('call'), c.req.valid('param').id), (event) => c.json(present(event), 200)),
  );
}

/** Undefined: it is no cursor of this list. */
function placeOf(c: Context<Env>, after: string | undefined): number | 'now' | undefined {
  if (after === undefined) return 0;
  if (after === 'now') return after;
  const place = Number(c.get('cursors').decrypt(list.path, after));
  return Number.isSafeInteger(place) ? place : undefined;
}

/** Aborted when the client hangs up. */
function hangUpSignal(c: Context<Env>): { signal: AbortSignal; forget(): void } {
  const socket = c.env.incoming?.socket;
  const aborted = new AbortController();
  const onClose = () => aborted.abort();
  socket?.once('close', onClose);
  if (socket?.destroyed) onClose();
  return { signal: aborted.signal, forget: () => void socket?.off('close', onClose) };
}
