// The emulator: one server for every vendor. Each row has a path of its own, below which all https URLs are emulated.
//
// `https://slack.com/api/oauth.v2.access` of row 7 is `http://127.0.0.1:PORT/7/slack.com/api/oauth.v2.access`. Requests of
// the broker are mapped back to the real URLs before a row sees them, and responses of a row are mapped to the emulator:
// neither rows nor entries know about it.
import { createServer } from 'node:http';
import { listenAtLoopback } from '../../support/loopback.ts';
import { readRequest } from './request.ts';
import type { Reply, Vendor } from './vendor.ts';
import { createVendorServer, type VendorServer } from './vendor-server.ts';

export interface Emulator {
  /** One for each row. */
  servers: VendorServer[];
  close(): Promise<void>;
}

export async function startEmulator(vendors: readonly Vendor[]): Promise<Emulator> {
  const servers: VendorServer[] = [];
  const server = createServer(async (req, res) => {
    const [, number = ''] = /^\/(\d+)\//.exec(req.url ?? '') ?? [];
    const vendorServer = servers[Number(number)];
    if (!vendorServer) return void res.writeHead(404).end();
    try {
      const { status, headers, body } = toWire(
        await vendorServer.answer(await readRequest(req, vendorServer.base, vendorServer.fromEmulator)),
        vendorServer,
      );
      res.writeHead(status, headers).end(body);
    } catch (error) {
      vendorServer.violations.push(`the row itself failed: ${error instanceof Error ? error.stack : error}`);
      res.writeHead(500).end();
    }
  });
  const { url, close } = await listenAtLoopback(server);
  for (const { provider, rows, calls } of vendors)
    for (const row of rows) servers.push(createVendorServer(row, provider, `${url}/${servers.length}/`, calls));
  return {
    servers: servers,
    close,
  };
}

/** The response on the wire. A redirect goes to the broker and is not mapped. */
function toWire({ status, body, headers }: Reply, { toEmulator }: VendorServer) {
  if (body instanceof URLSearchParams) {
    const form = new URLSearchParams();
    for (const [name, value] of body) form.append(name, toEmulator(value));
    return { status, body: form.toString(), headers: { 'content-type': FORM, ...headers } };
  }
  if (typeof body === 'string')
    return { status, body: toEmulator(body), headers: { 'content-type': 'text/plain', ...headers } };
  return {
    status,
    body: toEmulator(JSON.stringify(body)),
    headers: { 'content-type': 'application/json', ...headers },
  };
}

const FORM = 'application/x-www-form-urlencoded';
