// A loopback server whose responses are bytes: codings, broken bodies and connections that end early.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RawServer {
  url: string;
  /** Writes the next responses. */
  answer: (response: ServerResponse) => unknown;
  close(): Promise<void>;
}

export async function startRawServer(): Promise<RawServer> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => raw.answer(response));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const raw: RawServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (response) => response.end(),
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
  return raw;
}
