// Token reads on the fast path: requests of the plainest form, with the same results as the routes in `routes/tokens.ts`.
import type { ServedToken } from '../../broker/cache/index.ts';
import type { RequestedScopes } from '../../broker/integrations/index.ts';
import type { OwnerSelector, Selector, TokenReader } from '../../broker/tokens/index.ts';
import { Refusal } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import { problemOf } from '../errors/problem.ts';
import { expiryOf, tokenFacts } from '../presenters/tokens.ts';
import type { FastHandler, FastPath } from './fast-path.ts';

const BY_ID = '/v1/connections/:id/token';
const BY_OWNER = '/v1/token';
const CONNECTIONS = '/v1/connections/';
const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' };

const EXPIRES_IN = ',"expires_in":';

/**
 * What the fast path takes of each value: less than the routes accept, and nothing that is encoded, or that they refuse. The
 * framework decodes, validates and refuses the rest.
 */
const ID = /^[\w-]{1,64}$/;
const INTEGRATION = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const OWNER = /^[\w!$'(),./:;=?@|~-]{1,255}$/;
const LABEL = /^[\w!$'(),./:;=?@|~-]{1,64}$/;
const SECONDS = /^\d{1,6}$/;

interface Parts {
  fastPath: FastPath;
  reader: Pick<TokenReader, 'read'>;
  requestedScopes: Pick<RequestedScopes, 'known' | 'find'>;
  clock: Clock;
}

interface TokenRead {
  route: string;
  selector: Selector;
  minTtlMs: number | undefined;
}

/** The body but for the value of `expires_in`. */
interface PreparedBody {
  /** The scopes that the integration asked for then. */
  requested: readonly string[];
  start: string;
  bytes: number;
}

/** Whether the URL may be that of a token read. */
export const isTokenRead = (url: string): boolean => url.startsWith(CONNECTIONS) || url.startsWith('/v1/token?');

export function createFastTokenReads({ fastPath, reader, requestedScopes, clock }: Parts): FastHandler {
  const prepared = new WeakMap<ServedToken, PreparedBody>();

  function prepare(
    served: ServedToken,
    requested: readonly string[],
    expiresAt = served.connection.expiresAt,
  ): PreparedBody {
    const facts = JSON.stringify(tokenFacts(served, expiresAt, requested));
    // Counted before it is joined to more: that would copy the text, and the answer is one text when it is written.
    return {
      requested,
      start: facts.slice(0, -1) + EXPIRES_IN,
      bytes: Buffer.byteLength(facts) - 1 + EXPIRES_IN.length,
    };
  }

  /** Prepared once, from the second read on: of a token that is read once, memory holds the token alone. */
  function preparedOnce(served: ServedToken, requested: readonly string[]): PreparedBody {
    const known = prepared.get(served);
    if (known?.requested === requested) return known;
    const made = prepare(served, requested);
    prepared.set(served, made);
    return made;
  }

  return (request, response, next) => {
    const read = parse(request.url ?? '');
    const admitted = read && fastPath.admit(request);
    if (!read || !admitted) return next();
    const { route, selector, minTtlMs } = read;
    const { call } = admitted;

    const write = (result: ServedToken | Refusal, bodyOf: typeof preparedOnce, found?: readonly string[]): void => {
      if (result instanceof Refusal) {
        fastPath.answer(response, admitted, route, problemOf(result.fault, call.requestId));
        return;
      }
      const requested = found ?? requestedScopes.known(result.connection.integration);
      // Once, after each change of the integration.
      if (!requested) {
        requestedScopes
          .find(result.connection.integration)
          .then((now) => write(result, bodyOf, now))
          .catch((error: unknown) => fastPath.fail(response, admitted, route, error));
        return;
      }
      const expiry = expiryOf(result, clock);
      const { start, bytes } =
        expiry.at === result.connection.expiresAt ? bodyOf(result, requested) : prepare(result, requested, expiry.at);
      const end = `${expiry.in}}`;
      const answer = { status: 200, headers: JSON_HEADERS, body: start + end } as const;
      fastPath.answer(response, admitted, route, answer, String(bytes + end.length));
    };

    const result = reader.read(call, selector, minTtlMs);
    if (!(result instanceof Promise)) return write(result, preparedOnce);
    result.then(
      (later) => write(later, prepare),
      (error: unknown) => fastPath.fail(response, admitted, route, error),
    );
  };
}

/** Undefined: not a token read, or not of the plainest form. */
function parse(url: string): TokenRead | undefined {
  return url.startsWith(CONNECTIONS) ? parseById(url) : parseByOwner(url);
}

function parseById(url: string): TokenRead | undefined {
  const end = url.indexOf('/', CONNECTIONS.length);
  if (end < 0 || !url.startsWith('/token', end)) return undefined;
  const selector = url.slice(CONNECTIONS.length, end);
  if (!ID.test(selector)) return undefined;
  const rest = url.slice(end + '/token'.length);
  if (rest === '') return { route: BY_ID, selector, minTtlMs: undefined };
  const seconds = rest.startsWith('?min_ttl=') ? rest.slice('?min_ttl='.length) : '';
  return SECONDS.test(seconds) ? { route: BY_ID, selector, minTtlMs: Number(seconds) * 1_000 } : undefined;
}

function parseByOwner(url: string): TokenRead | undefined {
  let integration: string | undefined;
  let owner: string | undefined;
  let label: string | undefined;
  let minTtlMs: number | undefined;
  for (const pair of url.slice(url.indexOf('?') + 1).split('&')) {
    const at = pair.indexOf('=');
    if (at < 0) return undefined;
    const name = pair.slice(0, at);
    const value = pair.slice(at + 1);
    if (name === 'integration' && integration === undefined && INTEGRATION.test(value)) integration = value;
    else if (name === 'owner' && owner === undefined && OWNER.test(value)) owner = value;
    else if (name === 'label' && label === undefined && LABEL.test(value)) label = value;
    else if (name === 'min_ttl' && minTtlMs === undefined && SECONDS.test(value)) minTtlMs = Number(value) * 1_000;
    else return undefined;
  }
  if (integration === undefined || owner === undefined) return undefined;
  const selector: OwnerSelector = { integration, owner, label };
  return { route: BY_OWNER, selector, minTtlMs };
}
