// A process that is frozen (SIGSTOP) while a response arrives, for longer than its deadline.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createCertificate, pem } from '../../support/certificate.ts';

// Five processes at a time, on a machine that may be busy.
vi.setConfig({ testTimeout: 180_000 });
const DEADLINE_MS = 1_000;
const CLIENT = fileURLToPath(new URL('../../support/frozen-client.ts', import.meta.url));

const authority = createCertificate('Frozen Test Authority');
const certificate = createCertificate('127.0.0.1', authority);
const tlsOptions = { cert: certificate.pem, key: pem(certificate.privateKey) };

type Freeze = () => void;
interface Behaviour {
  tls: boolean;
  /** Freezes the client, and answers or lets go on. */
  onConnection?: (freeze: Freeze) => void;
  onRequest: (response: ServerResponse, freeze: Freeze) => void;
}

/** What the client prints; it is continued `DEADLINE_MS` after its deadline. */
async function frozenDuring({ tls, onConnection, onRequest }: Behaviour): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-frozen-'));
  const trusted = join(folder, 'ca.pem');
  await writeFile(trusted, authority.pem);
  const { promise: frozenAt, resolve } = Promise.withResolvers<number>();
  const freeze = () => {
    client.kill('SIGSTOP');
    resolve(performance.now());
  };
  let isWarm = false;
  const server: Server = (tls ? createTlsServer(tlsOptions) : createServer()) as Server;
  server.on('request', (request, response: ServerResponse) => {
    if (request.url !== '/warm-up') return onRequest(response, freeze);
    isWarm = true;
    response.setHeader('connection', 'close').end();
  });
  server.on('connection', () => isWarm && onConnection?.(freeze));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = spawn(process.execPath, [CLIENT, `http${tls ? 's' : ''}://127.0.0.1:${port}`, String(DEADLINE_MS)], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: trusted },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  client.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  onTestFinished(async () => {
    client.kill('SIGKILL');
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  const since = await frozenAt;
  await expect.poll(() => performance.now() - since, { timeout: 30_000 }).toBeGreaterThan(2 * DEADLINE_MS);
  client.kill('SIGCONT');
  await once(client, 'close');
  return printed.trim();
}

test.concurrent.each([false, true])('frozen process: reads a response that had arrived, TLS %s', async (tls) => {
  const onRequest: Behaviour['onRequest'] = (response, freeze) => {
    freeze();
    response.end('late');
  };
  expect(await frozenDuring({ tls, onRequest })).toBe('200 4');
});

test.concurrent('frozen process: reads a response that arrives in parts', async () => {
  const onRequest: Behaviour['onRequest'] = (response, freeze) => {
    response.write('x'.repeat(400_000));
    freeze();
    response.end('x'.repeat(400_000));
  };
  expect(await frozenDuring({ tls: true, onRequest })).toBe('200 800000');
});

test.concurrent('frozen process: goes on with a TLS handshake', async () => {
  const onConnection = (freeze: Freeze) => freeze();
  expect(await frozenDuring({ tls: true, onConnection, onRequest: (response) => response.end('late') })).toBe('200 4');
});

test.concurrent('frozen process: a request that is not answered fails nevertheless', async () => {
  expect(await frozenDuring({ tls: false, onRequest: (_, freeze) => freeze() })).toBe('timeout');
});
