// The event feed.
import { z } from '@hono/zod-openapi';
import { EVENT_TYPES, type EventType } from '../domain/events.ts';
import { EVENT_FEED_WAIT_MAX_MS } from '../domain/time-limits.ts';
import { PageQuery } from './common.ts';
import { EVENT, EventView } from './event-types.ts';

const MAX_WAIT = EVENT_FEED_WAIT_MAX_MS / 1_000;
const isType = (text: string): text is EventType => (EVENT_TYPES as readonly string[]).includes(text);

export const EventFeedQuery = PageQuery.pick({ limit: true }).extend({
  after: z.string().max(256).optional().openapi({
    description:
      'The `next_cursor` of the page before, or `now` to begin at the end of the feed. Without it, the feed begins with the oldest event that is kept.',
  }),
  types: z
    .string()
    .max(1_000)
    .transform((text) => text.split(','))
    .pipe(z.array(z.string().refine(isType, 'not a type of event')).min(1))
    .optional()
    .openapi({
      type: 'string',
      description: `Only events of these types, with commas in between: ${EVENT_TYPES.map((type) => `\`${type}\``).join(', ')}`,
      example: 'connection.needs_reauth,connection.revoked',
    }),
  wait: z
    .string()
    .regex(/^\d{1,2}$/)
    .transform(Number)
    .pipe(z.int().min(0).max(MAX_WAIT))
    .optional()
    .openapi({
      type: 'integer',
      minimum: 0,
      maximum: MAX_WAIT,
      description:
        'How many seconds the answer may wait for an event if there is none yet. It comes earlier when the broker stops, or too many requests wait. Default: 0.',
    }),
});

export const EventFeedPage = z
  .object({
    data: z.array(EventView),
    next_cursor: z.string().openapi({
      description:
        'Where to go on: it is there at the end of the feed too, and is then the one that was given. A page may be short although more events follow.',
    }),
  })
  .openapi('EventFeedPage', {
    example: { data: [EVENT], next_cursor: 'v3.k1.mYX0cYh0bG9uZ2Vu.Zm9yIGV4YW1wbGUgb25seQ' },
  });
