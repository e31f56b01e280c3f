// A loopback server whose responses are bytes: codings, broken bodies and connections that end early.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

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
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const raw: RawServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (response) => response.end(),
    onRequest: undefined,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
  return raw;
}
