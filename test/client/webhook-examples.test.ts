// The receivers of docs/events.md, as they stand there: each is run, and sent what the broker would send.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  newEndpointSecret,
  presentSecret,
  signatureHeaders,
} from '../../src/broker/events/signing/standard-webhooks.ts';
import { ROOT } from '../support/image.ts';

const page = readFileSync(join(ROOT, 'docs/events.md'), 'utf8');
const receivers = [...page.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!);
const client = pathToFileURL(join(ROOT, 'src/client/index.ts')).href;

const secret = newEndpointSecret();
let servers: Server[] = [];
let folder: string;

beforeEach(() => {
  servers = [];
  // Below node_modules, where the examples find their packages.
  mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
  folder = mkdtempSync(join(ROOT, 'node_modules/.cache/webhook-example-'));
  vi.stubEnv('WEBHOOK_SECRET', presentSecret(secret));
  const { listen } = Server.prototype;
  vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...args: unknown[]) {
    servers.push(this);
    return listen.apply(this, args as Parameters<typeof listen>);
  });
});
afterEach(() => {
  for (const server of servers) server.close();
  for (const server of servers) server.closeAllConnections();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test('docs/events.md: there is a receiver for hono, Express and node:http', () => {
  const imports = receivers.map((code) => /from '(hono|express|node:http)'/i.exec(code)?.[1]);
  expect(imports).toEqual(['hono', 'express', 'node:http']);
});

test.each(receivers.map((code) => [/from '(hono|express|node:http)'/i.exec(code)?.[1], code]))(
  'the receiver with %s: takes what is signed, and refuses what is not',
  async (_, code) => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const file = join(folder, 'receiver.mjs');
    writeFileSync(file, code!.replace("'@valetkey/client'", `'${client}'`).replace('3000', '0'));
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    await vi.waitFor(() => expect(servers[0]?.address()).toMatchObject({ port: expect.any(Number) }), {
      timeout: 30_000,
    });
    const { port } = servers[0]!.address() as AddressInfo;

    const body = JSON.stringify({
      type: 'test.ping',
      timestamp: new Date().toISOString(),
      data: { note: 'é \\u00e9  1.0' },
    });
    const signed = signatureHeaders({ id: 'msg_example', at: Date.now(), body, secrets: [secret], keys: [] });
    const post = async (sent: string) => {
      const headers = { 'content-type': 'application/json', ...signed };
      return (await fetch(`http://127.0.0.1:${port}/valetkey`, { method: 'POST', headers, body: sent })).status;
    };
    expect(await post(body.replace('1.0', '1.1'))).toBe(400);
    expect(log).not.toHaveBeenCalled();
    expect(await post(body)).toBe(204);
    expect(log).toHaveBeenCalledExactlyOnceWith('msg_example', 'test.ping');
  },
);
