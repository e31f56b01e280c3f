// A broker whose public URL has a path, behind a proxy that strips it or does not.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startTestBroker, type TestBroker } from './broker.ts';

export const SUB_PATH = '/apps/keys';

/** The `url` of the broker is the public one; `ask` goes past the proxy. `host`: as browsers see it. `localhost` and `127.0.0.1` are different sites. */
export async function startBelowSubPath(
  { strips, host = '127.0.0.1' }: { strips: boolean; host?: string },
  env: Record<string, string> = {},
): Promise<TestBroker> {
  let target: URL;
  const proxy = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '';
    const isOurs = path.startsWith(`${SUB_PATH}/`);
    if (!isOurs && !path.startsWith('/.well-known/')) return void outgoing.writeHead(502).end();
    const { method, headers } = incoming;
    const { hostname, port } = target;
    const options = {
      host: hostname,
      port,
      method,
      headers,
      path: strips && isOurs ? path.slice(SUB_PATH.length) : path,
    };
    const sent = request(options, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    incoming.pipe(sent);
  });
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  const publicUrl = `http://${host}:${(proxy.address() as AddressInfo).port}${SUB_PATH}`;
  const broker = await startTestBroker({ ...env, VALETKEY_PUBLIC_URL: `${publicUrl}/` });
  target = new URL(broker.url);
  return {
    ...broker,
    url: publicUrl,
    async stop() {
      await broker.stop();
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}
