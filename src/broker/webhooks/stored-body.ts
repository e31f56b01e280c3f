// What is stored of a webhook's body, encrypted: the raw bytes, and what was read of them when it was verified, since it cannot
// be verified again later.
import type { WebhookEvent } from '../../ports/index.ts';

/** Where an event's own bytes are; null: it is the whole body. */
type Bytes = { text: string } | { base64: string };

export interface StoredBody {
  body: Bytes;
  /** False: anyone who knows the URL may have sent it. */
  isSenderAuthenticated: boolean;
  events: (Pick<WebhookEvent, 'index' | 'locators' | 'isDeauthorization'> & {
    /** Undefined: stored by an earlier release. */
    hold?: WebhookEvent['hold'] | undefined;
    /** `[from, to)` of the body, other bytes, or null: the whole. */
    own: [number, number] | Bytes | null;
  })[];
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** As text where it is UTF-8, otherwise in base64. */
export function bytesOf(bytes: Uint8Array): Bytes {
  try {
    return { text: utf8.decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') };
  }
}

const raw = (bytes: Bytes): Buffer => ('text' in bytes ? Buffer.from(bytes.text) : Buffer.from(bytes.base64, 'base64'));

/** `of`: those of the events that are new. */
export function storedBody(
  body: Uint8Array,
  events: readonly WebhookEvent[],
  isSenderAuthenticated: boolean,
): StoredBody {
  const ownOf = ({ body: own }: WebhookEvent): StoredBody['events'][number]['own'] => {
    const from = own.byteOffset - body.byteOffset;
    const to = from + own.byteLength;
    // Unrelated buffers may share their memory as well.
    const isPart = own.buffer === body.buffer && from >= 0 && to <= body.byteLength;
    if (isPart) return from === 0 && to === body.byteLength ? null : [from, to];
    return Buffer.compare(own, body) === 0 ? null : bytesOf(own);
  };
  return {
    body: bytesOf(body),
    isSenderAuthenticated,
    events: events.map((event) => ({
      index: event.index,
      locators: event.locators,
      isDeauthorization: event.isDeauthorization,
      hold: event.hold,
      own: ownOf(event),
    })),
  };
}

/** An event's own bytes, as text where they are UTF-8. */
export function ownBytes({ body }: StoredBody, { own }: StoredBody['events'][number]): Bytes {
  if (own === null) return body;
  return Array.isArray(own) ? bytesOf(raw(body).subarray(own[0], own[1])) : own;
}

export const sizeOf = (bytes: Bytes): number => raw(bytes).byteLength;

/** Members of what is shown and handed on. */
export const shownBody = (bytes: Bytes): { body: string; body_encoding: 'utf-8' | 'base64' } =>
  'text' in bytes ? { body: bytes.text, body_encoding: 'utf-8' } : { body: bytes.base64, body_encoding: 'base64' };

export const bodyContext = (id: string) => ({ row: `received_webhooks/${id}`, column: 'body' });
