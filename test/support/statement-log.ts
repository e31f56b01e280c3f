// What clients send to PostgreSQL: a TCP proxy that notes the statements, by name, or by their text where they have none.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface StatementLog {
  /** The URL of the database through this proxy. */
  url: string;
  /** Those that were run since the last call, in the order in which they were sent. */
  take(): string[];
  close(): Promise<void>;
}

/** `target`: the URL of a database on this machine. */
export async function startStatementLog(target: string): Promise<StatementLog> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let noted: string[] = [];

  function note(type: string, body: Buffer, unnamed: { text: string }): void {
    const words = body.toString('latin1').split('\0');
    if (type === 'Q') noted.push(words[0]!);
    if (type === 'P' && words[0] === '') unnamed.text = words[1]!;
    if (type === 'B') noted.push(words[1] || unnamed.text);
  }

  const server = createServer((client) => {
    const database = connect(Number(port), hostname);
    for (const socket of [client, database]) {
      sockets.add(socket);
      socket.setNoDelay(true).on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        database.destroy();
      });
    }
    database.pipe(client);
    client.pipe(database);
    let rest = Buffer.alloc(0);
    // The first message has no type.
    let typeBytes = 0;
    const unnamed = { text: '' };
    client.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const length = rest.length < typeBytes + 4 ? undefined : typeBytes + rest.readUInt32BE(typeBytes);
        if (length === undefined || rest.length < length) return;
        if (typeBytes === 1) note(String.fromCharCode(rest[0]!), rest.subarray(5, length), unnamed);
        rest = rest.subarray(length);
        typeBytes = 1;
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    take() {
      const taken = noted;
      noted = [];
      return taken;
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
