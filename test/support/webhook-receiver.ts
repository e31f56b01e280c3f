// A webhook endpoint on loopback: it keeps every request, and answers each as its path is scripted.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenAtLoopback } from './loopback.ts';

export interface ReceivedDelivery {
  path: string;
  headers: Record<string, string>;
  id: string;
  body: string;
  event: { type: string; timestamp: string; data: Record<string, unknown> };
  /** By `performance.now()`. */
  at: number;
}

type Respond = (response: ServerResponse, request: IncomingMessage) => void;

export interface WebhookReceiver {
  /** Without a path: each endpoint of a test has its own. */
  url: string;
  received: ReceivedDelivery[];
  /** What arrived at a path. */
  at(path: string): ReceivedDelivery[];
  /** By default 204. */
  answer(path: string, respond: Respond): void;
  close(): Promise<void>;
}

export const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Respond =>
  (response) =>
    void response.writeHead(code, headers).end(body);

export const hang: Respond = () => undefined;

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const received: ReceivedDelivery[] = [];
  const answers = new Map<string, Respond>();
  const server = createServer(async (request, response) => {
    const at = performance.now();
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const path = request.url ?? '';
    const headers = request.headers as Record<string, string>;
    received.push({ path, headers, id: headers['webhook-id'] ?? '', body, event: JSON.parse(body), at });
    (answers.get(path) ?? status(204))(response, request);
  });
  const { url, close } = await listenAtLoopback(server);
  return {
    url,
    received,
    at: (path) => received.filter((one) => one.path === path),
    answer: (path, respond) => void answers.set(path, respond),
    close,
  };
}
