// An HTTP proxy on loopback, as a network has them for its egress: tunnels (CONNECT), requests that it forwards, faults.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, request as send } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect as dial, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * A status: it refuses with it. `hang`: it takes the request and does not answer. `reset`: it closes the connection instead.
 * `garble`: it answers something else than HTTP. `stall`: its tunnels carry nothing.
 */
export type ProxyFault = number | 'hang' | 'reset' | 'garble' | 'stall';

export interface EgressProxyServer {
  /** Without credentials. */
  url: string;
  port: number;
  /** `CONNECT host:port` and `GET http://…`, in order. */
  asked: string[];
  /** What came in `Proxy-Authorization`, decoded. */
  credentials: (string | undefined)[];
  /** Faults of the next requests, then of all by the last; empty: none. */
  faults: ProxyFault[];
  /** The port on this machine that a name of a tunnel leads to. */
  names: Map<string, number>;
  /** Open ends of tunnels, two each. */
  tunnels(): number;
  /** Resets all tunnels. */
  cut(): void;
  close(): Promise<void>;
}

export async function startEgressProxy(tls?: { key: string; cert: string }): Promise<EgressProxyServer> {
  const sockets = new Set<Socket>();
  const tunnels = new Set<Duplex>();
  const server: Server = tls === undefined ? createServer() : (createTlsServer(tls) as Server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  function faultOf(request: IncomingMessage): ProxyFault | undefined {
    proxy.asked.push(`${request.method} ${request.url}`);
    const [, basic] = /^Basic (.*)$/.exec(request.headers['proxy-authorization'] ?? '') ?? [];
    proxy.credentials.push(basic && Buffer.from(basic, 'base64').toString());
    return proxy.faults.length > 1 ? proxy.faults.shift() : proxy.faults[0];
  }

  server.on('connect', (request, client: Duplex) => {
    client.on('error', () => {});
    const fault = faultOf(request);
    if (fault === 'hang') return;
    if (fault === 'reset') return void client.destroy();
    if (fault === 'garble') return void client.end('SSH-2.0-OpenSSH_9.6\r\n');
    if (typeof fault === 'number') return void client.end(`HTTP/1.1 ${fault} No\r\ncontent-length: 0\r\n\r\n`);
    const { hostname, port } = new URL(`http://${request.url}`);
    const upstream = dial(proxy.names.get(hostname) ?? Number(port || 80), '127.0.0.1');
    for (const end of [client, upstream]) {
      tunnels.add(end);
      end.once('close', () => tunnels.delete(end));
    }
    upstream.on('error', () => client.destroy());
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    upstream.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (fault !== 'stall') upstream.pipe(client).pipe(upstream);
    });
  });

  server.on('request', (request, response) => {
    const fault = faultOf(request);
    if (fault === 'hang') return;
    if (fault === 'reset') return void request.socket.destroy();
    if (typeof fault === 'number') return void response.writeHead(fault).end('by the proxy');
    const { 'proxy-authorization': _, ...headers } = request.headers;
    const onward = send(request.url!, { method: request.method!, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    request.pipe(onward);
  });

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const proxy: EgressProxyServer = {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    asked: [],
    credentials: [],
    faults: [],
    names: new Map(),
    tunnels: () => tunnels.size,
    cut() {
      for (const end of tunnels) end.destroy();
    },
    async close() {
      proxy.cut();
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
