// Captured calls through the proxy.
import { z } from '@hono/zod-openapi';
import { CAPTURE_MAX_MS } from '../domain/time-limits.ts';
import { Id, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

const MAX_S = CAPTURE_MAX_MS / 1_000;

export const CapturePost = z
  .strictObject({
    duration: z.int().min(1).max(MAX_S).default(MAX_S).openapi({ description: 'Seconds' }),
  })
  .openapi('CaptureStart', { example: { duration: 600 } });

export const CaptureView = z.object({ connection_id: Id, started_at: Time, until: Time }).openapi('Capture', {
  example: { connection_id: EXAMPLE.connection, started_at: EXAMPLE.changed, until: EXAMPLE.changed },
});

const Headers = z.array(z.object({ name: z.string(), value: z.string() }));
const Body = z.object({
  text: z.string().nullable().openapi({ description: 'Without its secrets. Null: nothing of it is shown.' }),
  bytes: z.int().openapi({ description: 'As it was sent' }),
  cut: z.boolean().openapi({ description: 'There was more of it than the 64 kB that are kept' }),
  omitted: z.enum(['binary', 'encoded']).nullable().openapi({
    description: 'Why nothing is shown. `binary`: it is no text. `encoded`: its content coding is not read.',
  }),
});
const Message = z.object({ headers: Headers, body: Body });

export const CapturedCallView = z
  .object({
    id: Id,
    connection_id: Id,
    at: Time,
    method: z.string(),
    host: z.string(),
    path: z.string().openapi({
      description: 'A template: `{}` stands for what may name someone. Without the query.',
    }),
    status: z.int().nullable().openapi({ description: 'Null: there was no response.' }),
    error: z.string().nullable().openapi({
      description: 'The code of the problem that the caller was told. Null: the API has answered.',
    }),
    duration_ms: z.int(),
    attempts: z.int(),
    complete: z.boolean().openapi({ description: 'Whether the body of the response came to its end' }),
    request: Message.openapi({ description: 'As it was sent, of the last attempt' }),
    response: Message.nullable(),
  })
  .openapi('CapturedCall', {
    description: 'A call through the proxy, without the secrets that were found in it (`…` stands for each).',
    example: {
      id: 'cap_01k9d3m6x2f8v5t7q4w1z0y9ab',
      connection_id: EXAMPLE.connection,
      at: EXAMPLE.changed,
      method: 'POST',
      host: 'api.example.com',
      path: '/v1/issues',
      status: 422,
      error: null,
      duration_ms: 182,
      attempts: 1,
      complete: true,
      request: {
        headers: [{ name: 'Authorization', value: '…' }],
        body: { text: '{"title":""}', bytes: 12, cut: false, omitted: null },
      },
      response: {
        headers: [{ name: 'content-type', value: 'application/json' }],
        body: { text: '{"error":"title is empty"}', bytes: 26, cut: false, omitted: null },
      },
    },
  });
