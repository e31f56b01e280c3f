// A token endpoint over TLS, without a reuse window unless asked for, behind a proxy that can stall: for tests that freeze brokers between the
// steps of a request.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createCertificate, pem } from './certificate.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export interface TokenEndpoint {
  /** Through the proxy. */
  url: string;
  proxy: TcpProxy;
  /** A PEM file with its certificate, for `NODE_EXTRA_CA_CERTS`. */
  certificate: string;
  /** The refresh tokens that it has received, each time. */
  received: string[];
  /** Holds its answers until the returned function is called. */
  hold(): () => void;
  close(): Promise<void>;
}

/**
 * `rt-1` is answered with `at-2` and `rt-2`, and so on; a refresh token that was spent already with `invalid_grant`, or if it
 * `answersAgain`, with the same.
 */
export async function startTokenEndpoint(folder: string, { answersAgain = false } = {}): Promise<TokenEndpoint> {
  const { privateKey, pem: cert } = createCertificate('127.0.0.1');
  const certificate = join(folder, 'certificate.pem');
  writeFileSync(certificate, cert);
  const received: string[] = [];
  const spent = new Set<string>();
  let held: Promise<void> | undefined;
  const server = createServer({ key: pem(privateKey), cert }, async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const token = new URLSearchParams(body).get('refresh_token') ?? '';
    received.push(token);
    const [, name, number] = /^(.*)-(\d+)$/.exec(token) ?? [];
    const next = Number(number) + 1;
    const isReuse = spent.has(token) && !answersAgain;
    spent.add(token);
    await held;
    const answer = isReuse
      ? { error: 'invalid_grant', error_description: 'the refresh token was used before' }
      : {
          access_token: `at-${name}-${next}`,
          refresh_token: `${name}-${next}`,
          token_type: 'Bearer',
          expires_in: 7_200,
        };
    response.writeHead(isReuse ? 400 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await startTcpProxy(`https://127.0.0.1:${(server.address() as AddressInfo).port}/token`);
  return {
    url: proxy.url,
    proxy,
    certificate,
    received,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return () => {
        held = undefined;
        resolve();
      };
    },
    async close() {
      await proxy.close();
      server.closeAllConnections();
      server.close();
    },
  };
}
