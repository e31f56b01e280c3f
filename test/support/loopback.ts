// Servers of tests: at a free port of the loopback, and gone at once when they are closed.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Loopback {
  /** `http://127.0.0.1:<port>`. */
  url: string;
  /** Breaks off what is under way. */
  close(): Promise<void>;
}

export async function listenAtLoopback(server: Server, host = '127.0.0.1'): Promise<Loopback> {
  await new Promise<void>((listening) => server.listen(0, host, listening));
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
