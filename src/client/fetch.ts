// Requests to APIs with a connection's token: another one when it is rejected, patience when it is asked for, and the
// token to nobody else.
import { putBounded } from './bounded-map.ts';
import type { Fetch } from './broker.ts';
import { ValetkeyError } from './errors.ts';
import type { Which } from './paths.ts';
import { refuseInsecure } from './plain-http.ts';
import { type Hop, MAX_HOPS, nextHop } from './redirects.ts';
import { isBound, isInUrl, isStream, present } from './send.ts';
import { retryAfter, type Wait } from './time.ts';
import { isNotRefreshable, type Tokens } from './tokens.ts';
import type { Token } from './types.ts';

interface Parts {
  tokens: Tokens;
  fetch: Fetch;
  now: () => number;
  wait: Wait;
  deadline: () => number;
  allowHttp: readonly string[];
}

/** What was sent with it: of a bound token, the one that the proof names. */
interface Sent {
  response: Response;
  token: Token;
}

const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'];
const MAX_NONCES = 100;

export function createAuthorisedFetch({ tokens, fetch, now, wait, deadline, allowHttp }: Parts) {
  /** The last that each API sent (RFC 9449 8.2), by origin. */
  const nonces = new Map<string, string>();

  async function proven(hop: Hop, token: Token, until: number, again = true): Promise<Sent> {
    const { url, init } = hop;
    const [headers, signal] = [new Headers(init.headers), init.signal ?? undefined];
    const nonce = nonces.get(url.origin);
    // The query is none of the broker's business, and does not count.
    const request = { method: init.method ?? 'GET', url: url.origin + url.pathname, ...(nonce && { nonce }) };
    const proof = await tokens.prove(token.connection_id, request, signal, until);
    const used = { ...token, access_token: proof.access_token, token_type: proof.token_type };
    present(used, { url, headers });
    headers.set('dpop', proof.proof);
    const response = await fetch(url.href, { ...init, headers });
    const told = response.headers.get('dpop-nonce');
    if (told === null || told === nonce) return { response, token: used };
    putBounded(nonces, url.origin, told, MAX_NONCES);
    if (response.status !== 401 || !again || isStream(init.body)) return { response, token: used };
    await discard(response);
    return proven(hop, token, until, false);
  }

  async function sendOnce(hop: Hop, token: Token, until: number): Promise<Sent> {
    if (isBound(token)) return proven(hop, token, until);
    const [url, headers] = [new URL(hop.url), new Headers(hop.init.headers)];
    present(token, { url, headers });
    try {
      return { response: await fetch(url.href, { ...hop.init, headers }), token };
    } catch (error) {
      hop.init.signal?.throwIfAborted();
      if (!isInUrl(token)) throw error;
      // Some runtimes tell the whole URL.
      throw new ValetkeyError({ code: 'network', status: 0, detail: `${url.host} gave no answer` });
    }
  }

  /** Waits once for an API that says when, where nothing is done twice by it. */
  async function patiently(init: RequestInit, until: number, send: () => Promise<Sent>): Promise<Sent> {
    const sent = await send();
    const milliseconds = (retryAfter(sent.response) ?? Number.POSITIVE_INFINITY) * 1_000;
    const repeatable = IDEMPOTENT.includes(init.method ?? 'GET') && !isStream(init.body);
    if (!repeatable || now() + milliseconds > until) return sent;
    await discard(sent.response);
    await wait(milliseconds, init.signal ?? undefined);
    return send();
  }

  /** In the place of a rejected token; undefined when no other can be had. */
  async function another(rejected: Token, init: RequestInit, until: number): Promise<Token | undefined> {
    try {
      const fresh = await tokens.refresh(rejected, { signal: init.signal }, until);
      return fresh.access_token === rejected.access_token ? undefined : fresh;
    } catch (error) {
      if (isNotRefreshable(error)) return undefined;
      throw error;
    }
  }

  async function authorised(which: Which, hop: Hop, until: number): Promise<Response> {
    const { init } = hop;
    const send = (token: Token) => patiently(init, until, () => sendOnce(hop, token, until));
    const signal = init.signal ?? null;
    const sent = await send(await tokens.token({ ...which, signal }, until));
    if (sent.response.status !== 401) return sent.response;
    const fresh = await another(sent.token, init, until);
    if (!fresh || isStream(init.body)) return sent.response;
    await discard(sent.response);
    return (await send(fresh)).response;
  }

  return async (which: Which, input: string | URL, options: RequestInit = {}): Promise<Response> => {
    const until = deadline();
    const { redirect = 'follow', method = 'GET' } = options;
    const init: RequestInit = { ...options, method: method.toUpperCase(), redirect: 'manual' };
    let hop: Hop = { url: new URL(input), init, trusted: true };
    for (let hops = 0; hops <= MAX_HOPS; hops++) {
      refuseInsecure(hop.url, allowHttp);
      const response = hop.trusted ? await authorised(which, hop, until) : await fetch(hop.url.href, hop.init);
      const next = nextHop(hop, response);
      if (!next || redirect === 'manual') return response;
      await discard(response);
      if (redirect === 'error') break;
      hop = next;
    }
    throw new TypeError(redirect === 'error' ? 'The API redirected the request' : 'The API redirects in circles');
  };
}

/** Frees the line. */
const discard = async ({ body }: Response): Promise<void> => {
  await body?.cancel().catch(() => undefined);
};
