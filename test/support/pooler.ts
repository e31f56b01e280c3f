// A pooler in transaction mode, as PgBouncer is one: many clients, few connections to the server, and nothing of a session
// kept for anybody. It speaks version 3 of PostgreSQL's protocol, and lets everybody in.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Pooler {
  /** The same database, by way of the pooler. */
  through(url: string): string;
  /** Ends every connection. */
  stop(): Promise<void>;
}

interface Options {
  /** Connections to the server, for each database. */
  servers?: number;
  /** Which of those that are idle is lent next: the one that waits longest, so that each client soon meets them all. */
  lends?: 'longest idle' | 'last used';
  /** Statements that the database does not know: it refuses them with 0A000 (feature_not_supported). */
  lacks?: RegExp;
}

interface Client {
  socket: Socket;
  database: Database | undefined;
  /** What it has said since it has no connection to the server. */
  said: Buffer[];
  /** How many answers (ReadyForQuery) are still to come; and whether it is amid a question that has still to be ended. */
  owed: number;
  isAmid: boolean;
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
const WELCOME = Buffer.concat([message('R', Buffer.alloc(4)), message('K', Buffer.alloc(8)), READY]);
const STARTS_WITH = ['user', 'database', 'application_name', 'client_encoding'];
/** Refused with 0A000 by every PostgreSQL, whatever parameters come with it. */
const LACKING = 'select distinct 1 for update';

/** In front of the server of this URL. */
export async function startPooler(
  url: string,
  { servers: most = 3, lends = 'longest idle', lacks }: Options = {},
): Promise<Pooler> {
  const { hostname, port: behind } = new URL(url);
  const databases = new Map<string, Database>();
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true).on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    return socket;
  };

  function come(socket: Socket): void {
    const client: Client = { socket, database: undefined, said: [], owed: 0, isAmid: false, server: undefined };
    socket.on(
      'data',
      framed(
        () => client.database !== undefined,
        (said) => (client.database ? say(client, client.database, said) : welcome(client, said)),
      ),
    );
    socket.once('close', () => leave(client));
  }

  function welcome(client: Client, said: Buffer): void {
    const version = said.readUInt32BE(4);
    if (version === SSL_REQUEST) return void client.socket.write('N');
    if (version !== VERSION_3) return void client.socket.destroy();
    const words = said.subarray(8).toString().split('\0');
    const asked = new Map(words.flatMap((word, i) => (i % 2 === 0 && word !== '' ? [[word, words[i + 1]!]] : [])));
    const foreign = [...asked.keys()].find((name) => !STARTS_WITH.includes(name));
    if (foreign !== undefined)
      return void client.socket.end(refusal('08P01', `unsupported startup parameter: ${foreign}`));
    const key = `${asked.get('user')}@${asked.get('database')}`;
    const database = databases.get(key) ?? openDatabase(asked.get('user')!, asked.get('database')!);
    databases.set(key, database);
    client.database = database;
    database.clients.add(client);
    client.socket.write(WELCOME);
  }

  function openDatabase(user: string, name: string): Database {
    const words = Buffer.from(`user\0${user}\0database\0${name}\0\0`);
    const start = Buffer.alloc(8);
    start.writeUInt32BE(8 + words.length, 0);
    start.writeUInt32BE(VERSION_3, 4);
    const empty = { clients: new Set<Client>(), waiting: [], servers: new Set<Server>(), idle: [] };
    return { start: Buffer.concat([start, words]), ...empty };
  }

  function say(client: Client, database: Database, said: Buffer): void {
    const type = typeOf(said);
    if (type === 'X') {
      client.socket.end();
      return;
    }
    if (type === 'Q' || type === 'S') client.owed++;
    client.isAmid = type !== 'Q' && type !== 'S';
    const passed = lacks ? without(lacks, said) : said;
    if (client.server) client.server.socket.write(passed);
    else if (client.said.push(passed) === 1) ask(client, database);
  }

  function ask(client: Client, database: Database): void {
    const idle = lends === 'last used' ? database.idle.pop() : database.idle.shift();
    if (idle) lend(idle, client);
    else if (database.waiting.push(client) && database.servers.size < most) openServer(database);
  }

  function openServer(database: Database): void {
    const socket = track(connect(Number(behind), hostname));
    const server: Server = { socket, client: undefined };
    database.servers.add(server);
    let isOpen = false;
    const hear = (heard: Buffer) => {
      const isReady = typeOf(heard) === 'Z';
      if (isReady && !isOpen) {
        isOpen = true;
        return giveBack(database, server);
      }
      const { client } = server;
      // Of notifications nobody knows for whom they are.
      if (!isOpen || !client || typeOf(heard) === 'A') return;
      client.socket.write(heard);
      if (!isReady) return;
      client.owed--;
      const isIdle = heard.subarray(5).toString() === 'I';
      if (isIdle && client.owed === 0 && !client.isAmid) giveBack(database, server);
    };
    socket.on(
      'data',
      framed(() => true, hear),
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

  function lend(server: Server, client: Client): void {
    server.client = client;
    client.server = server;
    for (const said of client.said.splice(0)) server.socket.write(said);
  }

  function giveBack(database: Database, server: Server): void {
    if (server.client) server.client.server = undefined;
    server.client = undefined;
    const next = database.waiting.shift();
    if (next) lend(server, next);
    else database.idle.push(server);
    if (database.clients.size === 0) server.socket.destroy();
  }

  function leave(client: Client): void {
    const { database } = client;
    // Nobody knows how it was left.
    client.server?.socket.destroy();
    if (!database) return;
    database.clients.delete(client);
    database.waiting = database.waiting.filter((one) => one !== client);
    if (database.clients.size === 0) for (const { socket } of database.idle) socket.destroy();
  }

  const desk = createServer((socket) => come(track(socket))).listen(0, '127.0.0.1');
  await once(desk, 'listening');
  const { port } = desk.address() as { port: number };
  return {
    through(direct) {
      const way = new URL(direct);
      way.host = `127.0.0.1:${port}`;
      return way.href;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      desk.close();
      await once(desk, 'close');
    },
  };
}

const typeOf = (said: Buffer): string => String.fromCharCode(said[0]!);

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.from(`${type}....`);
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

const refusal = (code: string, text: string): Buffer =>
  message('E', Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`));

/** The whole messages of a stream; the first of a client have no type. */
function framed(isTyped: () => boolean, told: (message: Buffer) => void): (chunk: Buffer) => void {
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
      told(whole);
    }
  };
}

/** A statement that is not known becomes one that is refused, in its place: what becomes of the transaction is real. */
function without(lacks: RegExp, said: Buffer): Buffer {
  const type = typeOf(said);
  if (type === 'Q') return lacks.test(textAt(said, 5)) ? message('Q', Buffer.from(`${LACKING}\0`)) : said;
  if (type !== 'P') return said;
  const name = textAt(said, 5);
  const at = 5 + Buffer.byteLength(name) + 1;
  if (!lacks.test(textAt(said, at))) return said;
  return message('P', Buffer.concat([Buffer.from(`${name}\0${LACKING}\0`), Buffer.alloc(2)]));
}

const textAt = (said: Buffer, from: number): string => said.subarray(from, said.indexOf(0, from)).toString();
