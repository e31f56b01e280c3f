// A connection pooler in transaction or statement mode, like PgBouncer: many clients, few server connections, no session state. It
// implements PostgreSQL's protocol version 3, without authentication.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Pooler {
  /** The URL of the same database through the pooler. */
  urlFor(url: string): string;
  /** Closes every connection. */
  stop(): Promise<void>;
}

interface Options {
  /** Maximum server connections per database; 3 by default. */
  servers?: number;
  /** Which idle server connection is used next. `longest idle` makes each client use all of them soon. */
  reuse?: 'longest idle' | 'last used';
  /** `statement`: a client that begins a transaction is disconnected. */
  mode?: 'transaction' | 'statement';
  /** Statements that are refused with 0A000 (feature_not_supported). */
  unsupported?: RegExp;
}

interface Client {
  socket: Socket;
  database: Database | undefined;
  /** Messages that wait for a server connection. */
  queued: Buffer[];
  /** ReadyForQuery replies that are still to come; and whether a batch has begun that has no Sync yet. */
  pendingReplies: number;
  isMidBatch: boolean;
  server: Server | undefined;
}
interface Server {
  socket: Socket;
  client: Client | undefined;
}
interface Database {
  start: Buffer;
  clients: Set<Client>;
  waiting: Client[];
  servers: Set<Server>;
  idle: Server[];
}

const VERSION_3 = 196_608;
const SSL_REQUEST = 80_877_103;
const READY = message('Z', Buffer.from('I'));
const STARTUP_REPLY = Buffer.concat([message('R', Buffer.alloc(4)), message('K', Buffer.alloc(8)), READY]);
const STARTUP_PARAMETERS = ['user', 'database', 'application_name', 'client_encoding'];
/** Every PostgreSQL refuses this with 0A000, whatever its parameters. */
const UNSUPPORTED_STATEMENT = 'select distinct 1 for update';

/** Starts a pooler in front of the server of this URL. */
export async function startPooler(
  url: string,
  { servers: maxServers = 3, reuse = 'longest idle', mode = 'transaction', unsupported }: Options = {},
): Promise<Pooler> {
  const { hostname, port: serverPort } = new URL(url);
  const databases = new Map<string, Database>();
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true).on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };

  function accept(socket: Socket): void {
    const client: Client = {
      socket,
      database: undefined,
      queued: [],
      pendingReplies: 0,
      isMidBatch: false,
      server: undefined,
    };
    socket.on(
      'data',
      splitMessages(
        () => client.database !== undefined,
        (frame) => (client.database ? forward(client, client.database, frame) : handleStartup(client, frame)),
      ),
    );
    socket.once('close', () => disconnect(client));
  }

  function handleStartup(client: Client, frame: Buffer): void {
    const version = frame.readUInt32BE(4);
    if (version === SSL_REQUEST) return void client.socket.write('N');
    if (version !== VERSION_3) return void client.socket.destroy();
    const words = frame.subarray(8).toString().split('\0');
    const parameters = new Map(words.flatMap((word, i) => (i % 2 === 0 && word !== '' ? [[word, words[i + 1]!]] : [])));
    const unknown = [...parameters.keys()].find((name) => !STARTUP_PARAMETERS.includes(name));
    if (unknown !== undefined)
      return void client.socket.end(errorMessage('08P01', `unsupported startup parameter: ${unknown}`));
    const key = `${parameters.get('user')}@${parameters.get('database')}`;
    const database = databases.get(key) ?? openDatabase(parameters.get('user')!, parameters.get('database')!);
    databases.set(key, database);
    client.database = database;
    database.clients.add(client);
    client.socket.write(STARTUP_REPLY);
  }

  function openDatabase(user: string, name: string): Database {
    const words = Buffer.from(`user\0${user}\0database\0${name}\0\0`);
    const start = Buffer.alloc(8);
    start.writeUInt32BE(8 + words.length, 0);
    start.writeUInt32BE(VERSION_3, 4);
    const empty = { clients: new Set<Client>(), waiting: [], servers: new Set<Server>(), idle: [] };
    return { start: Buffer.concat([start, words]), ...empty };
  }

  function forward(client: Client, database: Database, frame: Buffer): void {
    const type = typeOf(frame);
    if (type === 'X') {
      client.socket.end();
      return;
    }
    if (type === 'Q' || type === 'S') client.pendingReplies++;
    client.isMidBatch = type !== 'Q' && type !== 'S';
    const passed = unsupported ? rejectUnsupported(unsupported, frame) : frame;
    if (client.server) client.server.socket.write(passed);
    else if (client.queued.push(passed) === 1) acquireServer(client, database);
  }

  function acquireServer(client: Client, database: Database): void {
    const idle = reuse === 'last used' ? database.idle.pop() : database.idle.shift();
    if (idle) assignServer(idle, client);
    else if (database.waiting.push(client) && database.servers.size < maxServers) openServer(database);
  }

  function openServer(database: Database): void {
    const socket = track(connect(Number(serverPort), hostname));
    const server: Server = { socket, client: undefined };
    database.servers.add(server);
    let isOpen = false;
    const onReply = (reply: Buffer) => {
      const isReady = typeOf(reply) === 'Z';
      if (isReady && !isOpen) {
        isOpen = true;
        return releaseServer(database, server);
      }
      const { client } = server;
      // Notifications have no known recipient in transaction mode.
      if (!isOpen || !client || typeOf(reply) === 'A') return;
      const isIdle = isReady && reply.subarray(5).toString() === 'I';
      if (isReady && !isIdle && mode === 'statement') {
        client.socket.end(errorMessage('08P01', 'transaction blocks not allowed in statement pooling mode'));
        return void socket.destroy();
      }
      client.socket.write(reply);
      if (!isReady) return;
      client.pendingReplies--;
      if (isIdle && client.pendingReplies === 0 && !client.isMidBatch) releaseServer(database, server);
    };
    socket.on(
      'data',
      splitMessages(() => true, onReply),
    );
    socket.once('close', () => {
      database.servers.delete(server);
      database.idle = database.idle.filter((one) => one !== server);
      server.client?.socket.destroy();
      if (!isOpen) for (const client of database.waiting.splice(0)) client.socket.destroy();
      else if (database.waiting.length > 0) openServer(database);
    });
    socket.write(database.start);
  }

  function assignServer(server: Server, client: Client): void {
    server.client = client;
    client.server = server;
    for (const frame of client.queued.splice(0)) server.socket.write(frame);
  }

  function releaseServer(database: Database, server: Server): void {
    if (server.client) server.client.server = undefined;
    server.client = undefined;
    const next = database.waiting.shift();
    if (next) assignServer(server, next);
    else database.idle.push(server);
    if (database.clients.size === 0) server.socket.destroy();
  }

  function disconnect(client: Client): void {
    const { database } = client;
    // The state of its session is unknown.
    client.server?.socket.destroy();
    if (!database) return;
    database.clients.delete(client);
    database.waiting = database.waiting.filter((one) => one !== client);
    if (database.clients.size === 0) for (const { socket } of database.idle) socket.destroy();
  }

  const listener = createServer((socket) => accept(track(socket))).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  return {
    urlFor(direct) {
      const url = new URL(direct);
      url.host = `127.0.0.1:${port}`;
      return url.href;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

const typeOf = (frame: Buffer): string => String.fromCharCode(frame[0]!);

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.from(`${type}....`);
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

const errorMessage = (code: string, text: string): Buffer =>
  message('E', Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`));

/** Splits a stream into whole messages; a client's startup messages have no type byte. */
function splitMessages(isTyped: () => boolean, onMessage: (message: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const head = isTyped() ? 1 : 0;
      if (rest.length < head + 4) return;
      const length = head + rest.readUInt32BE(head);
      if (rest.length < length) return;
      const whole = rest.subarray(0, length);
      rest = rest.subarray(length);
      onMessage(whole);
    }
  };
}

/** Replaces an unsupported statement with one that the server refuses, so that its effect on the transaction is real. */
function rejectUnsupported(unsupported: RegExp, frame: Buffer): Buffer {
  const type = typeOf(frame);
  if (type === 'Q')
    return unsupported.test(textAt(frame, 5)) ? message('Q', Buffer.from(`${UNSUPPORTED_STATEMENT}\0`)) : frame;
  if (type !== 'P') return frame;
  const name = textAt(frame, 5);
  const at = 5 + Buffer.byteLength(name) + 1;
  if (!unsupported.test(textAt(frame, at))) return frame;
  return message('P', Buffer.concat([Buffer.from(`${name}\0${UNSUPPORTED_STATEMENT}\0`), Buffer.alloc(2)]));
}

const textAt = (frame: Buffer, from: number): string => frame.subarray(from, frame.indexOf(0, from)).toString();
