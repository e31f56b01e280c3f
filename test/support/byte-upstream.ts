// An API on loopback that records every byte that it is sent, and answers with bytes.

import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';

export interface ReceivedRequest {
  /** The request line. */
  line: string;
  /** As they came. */
  headers: [name: string, value: string][];
  /** The value of a header, in any spelling; undefined: there is none. */
  header(name: string): string | undefined;
  /** Without its transfer coding. */
  body: Buffer;
  isComplete: boolean;
  socket: Socket;
  /** Fulfilled when the connection has ended. */
  closed: Promise<void>;
}

export interface ByteUpstream {
  url: string;
  host: string;
  requests: ReceivedRequest[];
  /** All bytes that came. */
  bytes(): string;
  /** Called with each request as soon as its head is here; writes the answer. By default `200` with `ok`. */
  onHead: (request: ReceivedRequest) => void;
  /** Called when the body is here too. By default nothing. */
  onComplete: (request: ReceivedRequest) => void;
  /** Connections that were made. */
  connections(): number;
  reset(): void;
  close(): Promise<void>;
}

export const answer = (body = 'ok', { status = '200 OK', headers = [] as string[] } = {}): string =>
  [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n');

const OK = (request: ReceivedRequest) => request.socket.write(answer());

export async function startByteUpstream(): Promise<ByteUpstream> {
  const sockets = new Set<Socket>();
  let all: Buffer[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    let buffer = Buffer.alloc(0);
    let current: ReceivedRequest | undefined;
    const chunks: Buffer[] = [];
    const complete = (request: ReceivedRequest) => {
      request.isComplete = true;
      request.body = Buffer.concat(chunks.splice(0));
      current = undefined;
      upstream.onComplete(request);
    };
    const parse = (): void => {
      if (!current) {
        const end = buffer.indexOf('\r\n\r\n');
        if (end < 0) return;
        const [line = '', ...rest] = buffer.subarray(0, end).toString('latin1').split('\r\n');
        buffer = buffer.subarray(end + 4);
        const headers = rest.map((one): [string, string] => [
          one.slice(0, one.indexOf(':')),
          one.slice(one.indexOf(':') + 1).trim(),
        ]);
        const header = (name: string) => headers.find(([one]) => one.toLowerCase() === name.toLowerCase())?.[1];
        current = { line, headers, header, body: Buffer.alloc(0), isComplete: false, socket, closed };
        upstream.requests.push(current);
        upstream.onHead(current);
      }
      const request = current;
      if (request.header('transfer-encoding') === 'chunked') {
        for (;;) {
          const at = buffer.indexOf('\r\n');
          if (at < 0) return;
          const length = Number.parseInt(buffer.subarray(0, at).toString(), 16);
          if (buffer.length < at + 2 + length + 2) return;
          if (length > 0) chunks.push(buffer.subarray(at + 2, at + 2 + length));
          buffer = buffer.subarray(at + 2 + length + 2);
          if (length === 0) break;
        }
      } else {
        const length = Number(request.header('content-length') ?? 0);
        const have = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        const taken = buffer.subarray(0, length - have);
        if (taken.length > 0) chunks.push(taken);
        buffer = buffer.subarray(taken.length);
        if (have + taken.length < length) return;
      }
      complete(request);
      if (buffer.length > 0) parse();
    };
    socket.on('data', (chunk: Buffer) => {
      all.push(chunk);
      buffer = Buffer.concat([buffer, chunk]);
      parse();
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const upstream: ByteUpstream = {
    url: `http://${host}`,
    host,
    requests: [],
    bytes: () => Buffer.concat(all).toString('latin1'),
    onHead: OK,
    onComplete: () => undefined,
    connections: () => connections,
    reset() {
      upstream.requests = [];
      upstream.onHead = OK;
      upstream.onComplete = () => undefined;
      all = [];
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
  return upstream;
}
