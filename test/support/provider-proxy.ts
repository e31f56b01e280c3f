// A proxy in front of the local provider's token and revocation endpoints: records requests, and can stall a request,
// withhold a response, or cut the connection.
import { createServer, type IncomingMessage } from 'node:http';
import type { LocalProvider } from '../../demo/provider.ts';
import { listenAtLoopback } from './loopback.ts';

export interface ProxiedRequest {
  path: string;
  form: URLSearchParams;
  /** The provider's status; undefined until it has responded. */
  status: number | undefined;
  answer: Record<string, unknown>;
}

/** `withhold`: the provider processes the request and its response is held. `stall`: it never gets it. `cut`: the connection is closed. */
export type Rule = 'pass' | 'withhold' | 'stall' | 'cut';

export interface ProviderProxy {
  /** The proxy's URLs, for `overrides` of an integration. */
  overrides: { token_url: string; revocation_url: string };
  requests: ProxiedRequest[];
  /** The token requests of this grant type that the provider processed. */
  forwarded(grantType: string): ProxiedRequest[];
  /** Sets the rule from now on; `pass` by default. */
  setRule(setRule: Rule | ((request: ProxiedRequest) => Rule)): void;
  /** Resolves when this many requests in total have been stalled or withheld. */
  untilHeld(count: number): Promise<void>;
  /** Sends withheld responses: the first `count`, or all. */
  release(count?: number): void;
  close(): Promise<void>;
}

export async function startProviderProxy({ issuer }: LocalProvider): Promise<ProviderProxy> {
  const requests: ProxiedRequest[] = [];
  let ruleFor: (request: ProxiedRequest) => Rule = () => 'pass';
  let heldCount = 0;
  let watchers: { count: number; met: () => void }[] = [];
  const held: (() => void)[] = [];

  const hold = () => {
    heldCount++;
    for (const { count, met } of watchers) if (heldCount >= count) met();
    watchers = watchers.filter(({ count }) => heldCount < count);
    return new Promise<void>((go) => held.push(go));
  };

  const server = createServer(async (req, res) => {
    const body = await read(req);
    const path = new URL(req.url ?? '/', issuer).pathname;
    const request: ProxiedRequest = { path, form: new URLSearchParams(body), status: undefined, answer: {} };
    requests.push(request);
    const rule = ruleFor(request);
    if (rule === 'cut') return void req.socket.destroy();
    if (rule === 'stall') return void hold();
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: req.headers.authorization ?? '',
    };
    const answer = await fetch(new URL(path, issuer), { method: 'POST', headers, body });
    const text = await answer.text();
    request.status = answer.status;
    request.answer = text.startsWith('{') ? (JSON.parse(text) as ProxiedRequest['answer']) : {};
    if (rule === 'withhold') await hold();
    res.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }).end(text);
  });
  const { url, close } = await listenAtLoopback(server);

  return {
    overrides: { token_url: `${url}/token`, revocation_url: `${url}/token/revocation` },
    requests: requests,
    forwarded: (type) => requests.filter(({ form, status }) => status !== undefined && form.get('grant_type') === type),
    setRule(rule) {
      ruleFor = typeof rule === 'function' ? rule : () => rule;
    },
    untilHeld: (count) =>
      new Promise((met) => {
        if (heldCount >= count) met();
        else watchers.push({ count, met });
      }),
    release(count = held.length) {
      for (const go of held.splice(0, count)) go();
    },
    close,
  };
}

async function read(req: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of req) body += chunk;
  return body;
}
