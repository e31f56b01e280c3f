// A loopback server that answers as told: for what no sane provider does.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  form: URLSearchParams;
}

/** A string body is sent as it is, an object as JSON. `hang` never answers; `drop` closes the connection. */
export type Scripted = { status?: number; headers?: Record<string, string>; body?: string | object } | 'hang' | 'drop';

export interface ScriptedServer {
  url: string;
  received: Received[];
  close(): Promise<void>;
}

export async function startScriptedServer(answer: (request: Received) => Scripted): Promise<ScriptedServer> {
  const received: Received[] = [];
  const server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    const request = {
      method: req.method ?? '',
      path: req.url ?? '',
      headers: req.headers,
      body,
      form: new URLSearchParams(body),
    };
    received.push(request);
    const said = answer(request);
    if (said === 'hang') return;
    if (said === 'drop') return void req.socket.destroy();
    const json = typeof said.body === 'object';
    res.writeHead(said.status ?? 200, { ...(json ? { 'content-type': 'application/json' } : {}), ...said.headers });
    res.end(json ? JSON.stringify(said.body) : said.body);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
