// Requests to APIs with the token of a connection: refreshes a rejected token, obeys Retry-After, and sends the token
// to no other origin.
import { attachToken, isDpopBound, isInUrl, isStream } from './attach-token.ts';
import { putBounded } from './bounded-map.ts';
import type { Fetch } from './broker.ts';
import { ValetkeyError } from './errors.ts';
import type { ConnectionSelector } from './paths.ts';
import { type Hop, MAX_HOPS, nextHop } from './redirects.ts';
import { requireSecureUrl } from './secure-url.ts';
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

/** `token`: the one that was sent; for DPoP, the one that the proof is bound to. */
interface Sent {
  response: Response;
  token: Token;
}

const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'];
const MAX_NONCES = 100;

/** Like the global `fetch`, with the token of the connection attached. Rejects with `ValetkeyError`, or as `fetch` does. */
export type AuthorizedFetch = (
  connection: ConnectionSelector,
  url: string | URL,
  init?: RequestInit,
) => Promise<Response>;

export function createAuthorizedFetch({ tokens, fetch, now, wait, deadline, allowHttp }: Parts): AuthorizedFetch {
  /** The last DPoP nonce of each origin (RFC 9449 8.2). */
  const nonces = new Map<string, string>();

  async function sendWithProof(hop: Hop, token: Token, until: number, retry = true): Promise<Sent> {
    const { url, init } = hop;
    const [headers, signal] = [new Headers(init.headers), init.signal ?? undefined];
    const nonce = nonces.get(url.origin);
    // Without the query: a proof does not cover it, and it may hold data that the broker must not see.
    const request = { method: init.method ?? 'GET', url: url.origin + url.pathname, ...(nonce && { nonce }) };
    const proof = await tokens.prove(token.connection_id, request, signal, until);
    const bound = { ...token, access_token: proof.access_token, token_type: proof.token_type };
    attachToken(bound, { url, headers });
    headers.set('dpop', proof.proof);
    const response = await fetch(url.href, { ...init, headers });
    const nextNonce = response.headers.get('dpop-nonce');
    if (nextNonce === null || nextNonce === nonce) return { response, token: bound };
    putBounded(nonces, url.origin, nextNonce, MAX_NONCES);
    if (response.status !== 401 || !retry || isStream(init.body)) return { response, token: bound };
    await discard(response);
    return sendWithProof(hop, token, until, false);
  }

  async function sendOnce(hop: Hop, token: Token, until: number): Promise<Sent> {
    if (isDpopBound(token)) return sendWithProof(hop, token, until);
    const [url, headers] = [new URL(hop.url), new Headers(hop.init.headers)];
    attachToken(token, { url, headers });
    try {
      return { response: await fetch(url.href, { ...hop.init, headers }), token };
    } catch (error) {
      hop.init.signal?.throwIfAborted();
      if (!isInUrl(token)) throw error;
      // Some runtimes put the whole URL, and so the token, into the error.
      throw new ValetkeyError({ code: 'network', status: 0, detail: `${url.host} did not answer` });
    }
  }

  /** Obeys a `Retry-After` once, for idempotent requests that can be repeated. */
  async function withRetryAfter(init: RequestInit, until: number, send: () => Promise<Sent>): Promise<Sent> {
    const sent = await send();
    const milliseconds = (retryAfter(sent.response) ?? Number.POSITIVE_INFINITY) * 1_000;
    const repeatable = IDEMPOTENT.includes(init.method ?? 'GET') && !isStream(init.body);
    if (!repeatable || now() + milliseconds > until) return sent;
    await discard(sent.response);
    await wait(milliseconds, init.signal ?? undefined);
    return send();
  }

  /** A token to replace the rejected one; undefined if there is none. */
  async function replacement(rejected: Token, init: RequestInit, until: number): Promise<Token | undefined> {
    try {
      const fresh = await tokens.refresh(rejected, { signal: init.signal }, until);
      return fresh.access_token === rejected.access_token ? undefined : fresh;
    } catch (error) {
      if (isNotRefreshable(error)) return undefined;
      throw error;
    }
  }

  async function authorized(connection: ConnectionSelector, hop: Hop, until: number): Promise<Response> {
    const { init } = hop;
    const send = (token: Token) => withRetryAfter(init, until, () => sendOnce(hop, token, until));
    const signal = init.signal ?? null;
    const sent = await send(await tokens.token({ ...connection, signal }, until));
    if (sent.response.status !== 401) return sent.response;
    const fresh = await replacement(sent.token, init, until);
    if (!fresh || isStream(init.body)) return sent.response;
    await discard(sent.response);
    return (await send(fresh)).response;
  }

  return async (connection, input, options = {}) => {
    const until = deadline();
    const { redirect = 'follow', method = 'GET' } = options;
    const init: RequestInit = { ...options, method: method.toUpperCase(), redirect: 'manual' };
    let hop: Hop = { url: new URL(input), init, trusted: true };
    for (let hops = 0; hops <= MAX_HOPS; hops++) {
      requireSecureUrl(hop.url, allowHttp);
      const response = hop.trusted ? await authorized(connection, hop, until) : await fetch(hop.url.href, hop.init);
      const next = nextHop(hop, response);
      if (!next || redirect === 'manual') return response;
      await discard(response);
      if (redirect === 'error') break;
      hop = next;
    }
    throw new TypeError(
      redirect === 'error' ? 'The API redirected the request' : 'The API redirected the request too often',
    );
  };
}

/** Frees the connection for the next request. */
const discard = async ({ body }: Response): Promise<void> => {
  await body?.cancel().catch(() => undefined);
};
