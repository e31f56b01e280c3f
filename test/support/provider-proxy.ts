// A door before the local provider's token and revocation endpoints: it records what passes, and can be told to stall a
// request, to withhold an answer that the provider has given, or to cut the line.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LocalProvider } from '../../demo/provider.ts';

export interface Passed {
  path: string;
  form: URLSearchParams;
  /** What the provider answered; undefined while it has not been asked. */
  status: number | undefined;
  answer: Record<string, unknown>;
}

/** `withhold`: the provider does what it is asked and its answer waits. `stall`: it is never asked. `cut`: no line. */
export type Rule = 'pass' | 'withhold' | 'stall' | 'cut';

export interface ProviderProxy {
  /** For `overrides` of an integration. */
  overrides: { token_url: string; revocation_url: string };
  passed: Passed[];
  /** Token requests of this grant type that reached the provider. */
  spent(grantType: string): Passed[];
  /** From now on; by default everything passes. */
  rule(rule: Rule | ((request: Passed) => Rule)): void;
  /** Fulfilled when so many requests, in all, have been stalled or have their answer withheld. */
  waiting(count: number): Promise<void>;
  /** Sends what was withheld: the first so many, or all. */
  release(count?: number): void;
  close(): Promise<void>;
}

export async function startProviderProxy({ issuer }: LocalProvider): Promise<ProviderProxy> {
  const passed: Passed[] = [];
  let judge: (request: Passed) => Rule = () => 'pass';
  let waiting = 0;
  let watchers: { count: number; met: () => void }[] = [];
  const held: (() => void)[] = [];

  const wait = () => {
    waiting++;
    for (const { count, met } of watchers) if (waiting >= count) met();
    watchers = watchers.filter(({ count }) => waiting < count);
    return new Promise<void>((go) => held.push(go));
  };

  const server = createServer(async (req, res) => {
    const body = await read(req);
    const path = new URL(req.url ?? '/', issuer).pathname;
    const request: Passed = { path, form: new URLSearchParams(body), status: undefined, answer: {} };
    passed.push(request);
    const rule = judge(request);
    if (rule === 'cut') return void req.socket.destroy();
    if (rule === 'stall') return void wait();
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: req.headers.authorization ?? '',
    };
    const answer = await fetch(new URL(path, issuer), { method: 'POST', headers, body });
    const text = await answer.text();
    request.status = answer.status;
    request.answer = text.startsWith('{') ? (JSON.parse(text) as Passed['answer']) : {};
    if (rule === 'withhold') await wait();
    res.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(text);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    overrides: { token_url: `${url}/token`, revocation_url: `${url}/token/revocation` },
    passed,
    spent: (type) => passed.filter(({ form, status }) => status !== undefined && form.get('grant_type') === type),
    rule(rule) {
      judge = typeof rule === 'function' ? rule : () => rule;
    },
    waiting: (count) =>
      new Promise((met) => {
        if (waiting >= count) met();
        else watchers.push({ count, met });
      }),
    release(count = held.length) {
      for (const go of held.splice(0, count)) go();
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

async function read(req: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of req) body += chunk;
  return body;
}
