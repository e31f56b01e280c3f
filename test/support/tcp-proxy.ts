// A TCP proxy between a broker and its database, which injects faults: resets, stalls, latency, a lost response, another
// server.
import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export interface TcpProxy {
  /** The URL of the database through this proxy. */
  url: string;
  /** Resets open connections, and new ones. */
  cut(): void;
  /** Holds all data in both directions until `heal`; connections stay open. */
  stall(): void;
  /** Adds latency in each direction from now on. */
  delay(ms: number): void;
  /**
   * Waits until a connection has sent these words in this order, forwards the last message, and cuts all connections
   * instead of returning its response. Resolves when the message is forwarded.
   */
  dropResponseTo(...words: string[]): Promise<void>;
  heal(): void;
  /** New connections go to this port; open ones stay. */
  redirectTo(port: number): void;
  /** Open connections, now and at most. */
  connections(): { open: number; most: number };
  close(): Promise<void>;
}

/** `target`: the URL of a database on this machine. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  let port = Number(new URL(target).port);
  let state: 'whole' | 'cut' | 'stalled' = 'whole';
  let delayMs = 0;
  let dropAfter: { words: string[]; sprung: () => void } | undefined;
  const connections = new Set<Connection>();
  let most = 0;

  interface Connection {
    ends: Socket[];
    resume(): void;
  }

  const reset = (connection: Connection) => {
    for (const end of connection.ends) end.resetAndDestroy();
  };
  const cut = () => {
    state = 'cut';
    for (const connection of connections) reset(connection);
  };

  function pipe(from: Socket, to: Socket, look?: (chunk: Buffer) => void): void {
    let before: Promise<unknown> | undefined;
    from.on('data', (chunk: Buffer) => {
      const write = () => {
        look?.(chunk);
        if (!to.destroyed) to.write(chunk);
      };
      if (delayMs === 0 && before === undefined) return write();
      const after: Promise<unknown> = Promise.all([before, pause(delayMs)]).then(() => {
        write();
        if (before === after) before = undefined;
      });
      before = after;
    });
    from.on('end', () => to.end());
    from.on('close', () => to.destroy());
    from.on('error', () => to.destroy());
  }

  function accept(client: Socket): void {
    client.on('error', () => undefined);
    if (state === 'cut') return void client.resetAndDestroy();
    client.pause();
    const connection: Connection = { ends: [client], resume: begin };
    connections.add(connection);
    most = Math.max(most, connections.size);
    client.once('close', () => connections.delete(connection));
    if (state === 'whole') begin();

    function begin(): void {
      const server = dial(port, '127.0.0.1');
      connection.ends.push(server);
      connection.resume = () => {
        for (const end of connection.ends) end.resume();
      };
      let [dropResponse, matched] = [false, 0];
      pipe(client, server, (chunk) => {
        if (dropAfter === undefined) return;
        for (let at = 0; matched < dropAfter.words.length; matched++) {
          at = chunk.indexOf(dropAfter.words[matched]!, at);
          if (at < 0) return;
        }
        dropResponse = true;
        dropAfter.sprung();
        dropAfter = undefined;
      });
      pipe(server, client, () => {
        if (dropResponse) cut();
      });
      client.resume();
    }
  }

  const listener = createServer(accept).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = new URL(target);
  url.port = String((listener.address() as { port: number }).port);

  return {
    url: url.href,
    cut,
    stall() {
      state = 'stalled';
      for (const connection of connections) for (const end of connection.ends) end.pause();
    },
    delay(ms) {
      delayMs = ms;
    },
    dropResponseTo: (...words) =>
      new Promise((triggered) => {
        dropAfter = { words, sprung: triggered };
      }),
    heal() {
      state = 'whole';
      for (const connection of connections) connection.resume();
    },
    redirectTo(other) {
      port = other;
    },
    connections: () => ({ open: connections.size, most }),
    async close() {
      for (const connection of connections) reset(connection);
      listener.close();
      await once(listener, 'close');
    },
  };
}
