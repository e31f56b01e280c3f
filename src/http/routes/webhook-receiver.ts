// What senders of webhooks reach: `/webhooks/{integration}` and `/webhooks/{integration}/{hook}`, with any method. Refusals have
// no body: no sender reads them, and some demand it.
import type { IncomingMessage } from 'node:http';
import type { Context } from 'hono';
import type { AdmittedWebhook, WebhookReceiver } from '../../broker/webhooks/index.ts';
import { INBOX_FULL_RETRY_AFTER_S } from '../../domain/time-limits.ts';
import type { Clock, WebhookAnswer } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { router } from '../openapi/route-parts.ts';

interface Parts {
  webhookReceiver: WebhookReceiver;
  clock: Pick<Clock, 'now'>;
  publicUrl: string;
}

/** Bytes of an unread body that are not worth a new connection. */
const DISCARDED = 64 * 1024;

export function webhookReceiverRoutes({ webhookReceiver, clock, publicUrl }: Parts) {
  async function receive(c: Context<Env>): Promise<Response> {
    const { incoming } = c.env;
    const headers = incoming ? headersOf(incoming) : Object.fromEntries(c.req.raw.headers);
    const called = incoming?.url ?? pathOf(c.req.url);
    const length = lengthOf(headers);
    const request = {
      method: c.req.method,
      url: `${publicUrl}${called}`,
      headers,
      receivedAt: clock.now(),
    };
    const arrival = {
      integration: c.req.param('integration') ?? '',
      hook: c.req.param('hook'),
      address: c.get('address'),
      length,
    };
    const admitted = await webhookReceiver.admit(arrival, request);
    if ('status' in admitted) {
      // The rest of a large body would have to be read before the next request.
      const isLarge = length === undefined ? headers['transfer-encoding'] !== undefined : length > DISCARDED;
      return answer(admitted, isLarge);
    }
    const body = incoming ? await bodyOf(incoming, admitted) : new Uint8Array(await c.req.arrayBuffer());
    if (typeof body === 'string') return answer(admitted.abandon(body), true);
    if (body.byteLength > admitted.maxBody) return answer(admitted.abandon('too_large'), true);
    return answer(await admitted.receive(body), false);
  }
  /** Whatever fails here, the sender is to try again. */
  const safely = (c: Context<Env>) =>
    receive(c).catch((error: unknown) => {
      c.get('logFailure')(error, c.get('requestId'));
      return answer({ status: 503, headers: { 'retry-after': String(INBOX_FULL_RETRY_AFTER_S) }, body: null }, true);
    });
  return router().all('/webhooks/:integration', safely).all('/webhooks/:integration/:hook', safely);
}

function answer({ status, headers, body }: WebhookAnswer, close: boolean): Response {
  const hasBody = status !== 204;
  return new Response(hasBody ? body : null, {
    status,
    headers: {
      ...headers,
      ...(hasBody && { 'content-length': String(Buffer.byteLength(body ?? '')) }),
      ...(close && { connection: 'close' }),
    },
  });
}

/** Names in lower case; the values of a repeated header are joined. */
function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const all: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) all[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return all;
}

const pathOf = (url: string): string => url.slice(new URL(url).origin.length);

function lengthOf(headers: Record<string, string>): number | undefined {
  const length = headers['content-length'];
  if (length === undefined) return headers['transfer-encoding'] === undefined ? 0 : undefined;
  return Number(length);
}

/** Bytes that a chunk takes besides its own: strangers may send thousands of one byte. */
const OF_CHUNK = 256;

/** The raw bytes. A body that is too large, or that there is no room for, is not read to its end. */
function bodyOf(
  incoming: IncomingMessage,
  { maxBody, hasRoomFor }: Pick<AdmittedWebhook, 'maxBody' | 'hasRoomFor'>,
): Promise<Buffer | 'too_large' | 'no_room' | 'aborted'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (reason: 'too_large' | 'no_room') => {
      incoming.pause();
      chunks.length = 0;
      resolve(reason);
    };
    incoming.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBody) end('too_large');
      else if (!hasRoomFor(chunk.length + OF_CHUNK)) end('no_room');
      else chunks.push(chunk);
    });
    incoming.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    incoming.once('error', () => resolve('aborted'));
    incoming.once('close', () => resolve('aborted'));
  });
}
