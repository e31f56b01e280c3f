// A loopback server with scripted responses, for behaviour that no real provider shows.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { listenAtLoopback } from './loopback.ts';

export interface ReceivedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  form: URLSearchParams;
}

/** A string body is sent as it is, an object as JSON. `hang` never responds; `drop` closes the connection. */
export type ScriptedResponse =
  | { status?: number; headers?: Record<string, string>; body?: string | object }
  | 'hang'
  | 'drop';

export interface ScriptedServer {
  url: string;
  received: ReceivedRequest[];
  close(): Promise<void>;
}

export async function startScriptedServer(
  answer: (request: ReceivedRequest) => ScriptedResponse | Promise<ScriptedResponse>,
): Promise<ScriptedServer> {
  const received: ReceivedRequest[] = [];
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
    const scripted = await answer(request);
    if (scripted === 'hang') return;
    if (scripted === 'drop') return void req.socket.destroy();
    const json = typeof scripted.body === 'object';
    res.writeHead(scripted.status ?? 200, {
      ...(json ? { 'content-type': 'application/json' } : {}),
      ...scripted.headers,
    });
    res.end(json ? JSON.stringify(scripted.body) : scripted.body);
  });
  const { url, close } = await listenAtLoopback(server);
  return {
    url,
    received,
    close,
  };
}
