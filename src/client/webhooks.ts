// Verifying the events that the broker sends to a webhook endpoint (Standard Webhooks 1.0.0).
import { ValetkeyError } from './errors.ts';
import type { Event } from './types.ts';
import { matchesAny, parseKey, signedContent } from './webhook-signatures.ts';

/** As `fetch` has them, or as Node has them; the case of names does not matter. */
export type WebhookHeaders =
  | { get(name: string): string | null | undefined }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

export interface VerifyWebhookOptions {
  /** How far the time of the attempt may be from now, in seconds, before and after. Default: 300. */
  tolerance?: number;
  /** The time now, in milliseconds since the epoch; for tests. */
  now?: () => number;
}

/** An event, as it was sent: `id` is the same for every attempt and endpoint. Process each id once. */
export type WebhookEvent = Event & {
  /** Of the attempt, not of the event: `timestamp` is when it happened. */
  sentAt: Date;
};

const DEFAULT_TOLERANCE_S = 300;

/**
 * The event of a request to a webhook endpoint, once its signature and time are checked. `body` is the body as it was
 * received, before anything has parsed it. `secrets`: the endpoint's (`whsec_…`), the deployment's public key (`whpk_…`), or
 * several of them while they are rotated; one that matches is enough. Rejects with `ValetkeyError` `invalid_webhook`: answer
 * 400 or 401, and process nothing of it.
 *
 * @example
 * const event = await verifyWebhook(request.headers, await request.text(), secret);
 * if (event.type === 'connection.needs_reauth') await tellOwner(event.data.connection.owner, event.data.connection.reason);
 */
export async function verifyWebhook(
  headers: WebhookHeaders,
  body: string | Uint8Array | ArrayBuffer,
  secrets: string | readonly string[],
  options: VerifyWebhookOptions = {},
): Promise<WebhookEvent> {
  const { tolerance = DEFAULT_TOLERANCE_S, now = Date.now } = options;
  const keys = [secrets].flat().map(parseKey);
  if (keys.length === 0 || keys.includes(undefined))
    throw invalid('secret', 'A secret is neither whsec_ nor whpk_ with base64 after it, or there is none.');
  const id = headerOf(headers, 'webhook-id');
  const timestamp = headerOf(headers, 'webhook-timestamp');
  const signature = headerOf(headers, 'webhook-signature');
  if (!id || !timestamp || !signature) throw invalid('headers', 'A header of Standard Webhooks is missing.');
  const sentAt = /^\d{1,11}$/.test(timestamp) ? Number(timestamp) : Number.NaN;
  if (!(Math.abs(now() / 1_000 - sentAt) <= tolerance))
    throw invalid('timestamp', `The time of the request is not within ${tolerance} seconds of now.`);
  const bytes = bytesOf(body);
  const known = keys.filter((key) => key !== undefined);
  if (!(await matchesAny(signature, signedContent(id, timestamp, bytes), known)))
    throw invalid('signature', 'No signature of the request matches any of the secrets.');
  return { ...parsed(bytes), id, sentAt: new Date(sentAt * 1_000) } as WebhookEvent;
}

function bytesOf(body: string | Uint8Array | ArrayBuffer): Uint8Array {
  if (typeof body === 'string') return new TextEncoder().encode(body);
  if (body instanceof Uint8Array) return body;
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  throw invalid('body', 'The body must be as it was received: text or bytes. Verify before anything parses it.');
}

/** It is signed, so whatever is wrong with it is the sender's fault. */
function parsed(body: Uint8Array): object {
  try {
    const event: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    if (typeof event === 'object' && event !== null && 'type' in event && 'data' in event) return event;
  } catch {
    // Not JSON.
  }
  throw invalid('body', 'The body is not an event.');
}

function headerOf(headers: WebhookHeaders, name: string): string | undefined {
  if (typeof headers.get === 'function') return headers.get(name) ?? undefined;
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  // A repeated header is none that we have sent.
  return typeof found === 'string' ? found : undefined;
}

const invalid = (reason: string, detail: string): ValetkeyError =>
  new ValetkeyError({ code: 'invalid_webhook', status: 0, detail, reason });
