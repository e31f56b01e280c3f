// A loopback server whose responses are bytes: codings, broken bodies and connections that end early.
import { createServer, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenAtLoopback } from './loopback.ts';

export interface RawServer {
  url: string;
  /** Writes the next responses. */
  answer: (response: ServerResponse, path: string) => unknown;
  /** Called with the form of each request. */
  onRequest: ((form: URLSearchParams) => void) | undefined;
  close(): Promise<void>;
}

export async function startRawServer(): Promise<RawServer> {
  const server = createServer(async (request, response) => {
    const form = new URLSearchParams(await text(request));
    raw.onRequest?.(form);
    raw.answer(response, request.url!);
  });
  // Longer than a test may be busy between two requests.
  server.keepAliveTimeout = 60_000;
  const { url, close } = await listenAtLoopback(server);
  const raw: RawServer = {
    url,
    answer: (response) => response.end(),
    onRequest: undefined,
    close,
  };
  return raw;
}
