// One server that is every vendor: each row has the whole internet below a path of its own.
//
// `https://slack.com/api/oauth.v2.access` of row 7 is `http://127.0.0.1:PORT/7/slack.com/api/oauth.v2.access`. All that
// the broker sends is brought back to where it really belongs before a row sees it, all that a row answers is moved
// here: neither rows nor entries know of it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readRequest } from './request.ts';
import type { Reply, Vendor } from './vendor.ts';
import { openVendorServer, type VendorServer } from './vendor-server.ts';

export interface Emulator {
  /** One for each row. */
  booths: VendorServer[];
  close(): Promise<void>;
}

export async function startEmulator(vendors: readonly Vendor[]): Promise<Emulator> {
  const booths: VendorServer[] = [];
  const server = createServer(async (req, res) => {
    const [, number = ''] = /^\/(\d+)\//.exec(req.url ?? '') ?? [];
    const vendorServer = booths[Number(number)];
    if (!vendorServer) return void res.writeHead(404).end();
    try {
      const { status, headers, body } = wire(
        await vendorServer.answer(await readRequest(req, vendorServer.base, vendorServer.unmoved)),
        vendorServer,
      );
      res.writeHead(status, headers).end(body);
    } catch (error) {
      vendorServer.complaints.push(`the row itself failed: ${error instanceof Error ? error.stack : error}`);
      res.writeHead(500).end();
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  for (const { provider, rows } of vendors)
    for (const row of rows) booths.push(openVendorServer(row, provider, `http://127.0.0.1:${port}/${booths.length}/`));
  return {
    booths,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/** As it goes over the wire. A redirect leads to the broker and stays as it is. */
function wire({ status, body, headers }: Reply, { moved }: VendorServer) {
  if (body instanceof URLSearchParams) {
    const form = new URLSearchParams();
    for (const [name, value] of body) form.append(name, moved(value));
    return { status, body: form.toString(), headers: { 'content-type': FORM, ...headers } };
  }
  if (typeof body === 'string')
    return { status, body: moved(body), headers: { 'content-type': 'text/plain', ...headers } };
  return { status, body: moved(JSON.stringify(body)), headers: { 'content-type': 'application/json', ...headers } };
}

const FORM = 'application/x-www-form-urlencoded';
