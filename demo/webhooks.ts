// Both sides of webhooks for the demo: an endpoint of a service, and a third party that signs what it sends.
import { createHmac, randomBytes } from 'node:crypto';
import { EventEmitter, on, once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { verifyWebhook, type WebhookEvent } from '../src/client/index.ts';

export interface EventEndpoint {
  url: string;
  /** What the broker signs with, as it was shown when the endpoint was created. */
  setSecret(secret: string): void;
  /** The first event of this type, verified. Rejects after ten seconds. */
  event<T extends WebhookEvent['type']>(type: T): Promise<WebhookEvent & { type: T }>;
  close(): Promise<void>;
}

/** An endpoint as a service has it: verify, store, answer. */
export async function startEndpoint(): Promise<EventEndpoint> {
  let secret = '';
  const received: WebhookEvent[] = [];
  const arrivals = new EventEmitter();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    try {
      received.push(await verifyWebhook(request.headers, Buffer.concat(chunks), secret));
      response.writeHead(204).end();
      arrivals.emit('event');
    } catch {
      response.writeHead(400).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/valetkey`,
    setSecret: (shown) => {
      secret = shown;
    },
    async event<T extends WebhookEvent['type']>(type: T) {
      const isWanted = (event: WebhookEvent): event is WebhookEvent & { type: T } => event.type === type;
      const find = () => received.find(isWanted);
      const arrived = on(arrivals, 'event', { signal: AbortSignal.timeout(10_000) });
      for (let found = find(); ; found = find()) {
        if (found) return found;
        await arrived.next();
      }
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The headers of a webhook as Standard Webhooks has them. `secret`: `whsec_` and base64. */
export function signed(secret: string, body: string): Record<string, string> {
  const id = `evt_${randomBytes(12).toString('hex')}`;
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
