// Starting a broker in this process: what is left open when it cannot be put together.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';

async function listenOn(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const bound = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
  return bound;
}

test('start: a broker that cannot be put together leaves its port free', async () => {
  const port = await listenOn(0);
  const parsed = parseConfig({ VALETKEY_PORT: `${port}`, VALETKEY_DATABASE_URL: 'file::memory:' }, () => '');
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const broken = { ...parsed.config, outboundAllow: ['10.0.0.0/99'] };
  await expect(start(broken, createLogger('silent'))).rejects.toThrow('CIDR');
  expect(await listenOn(port)).toBe(port);
});
