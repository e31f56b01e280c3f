// The hot path: a token that lies in memory, for a caller that may have it, answered before the framework is asked.
// It refuses nothing: whatever is not that simple goes the long way, which says the same in full.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Directory } from '../broker/directory.ts';
import type { Journal } from '../broker/journal.ts';
import type { Served } from '../broker/serving.ts';
import type { OwnerSelector, Tokens } from '../broker/tokens.ts';
import type { Clock, Telemetry } from '../ports.ts';
import type { Quick } from './listener.ts';
import { expiresIn, tokenFacts } from './views.ts';

const BY_ID = '/v1/connections/:id/token';
const BY_OWNER = '/v1/token';
/** The same that the long way takes for whole numbers of seconds and for ids of requests. */
const SECONDS = /^\d{1,6}$/;
const REQUEST_ID = /^[\w\-=]{1,255}$/;

interface Parts {
  tokens: Pick<Tokens, 'warm'>;
  directory: Directory;
  journal: Pick<Journal, 'used'>;
  telemetry: Pick<Telemetry, 'request'>;
  clock: Clock;
}

interface Asked {
  route: string;
  selector: string | OwnerSelector;
  minTtlMs: number | undefined;
}

/** The answer but for `expires_in`, and the whole of it as it was in a certain second. */
interface Ready {
  before: string;
  seconds: number | null;
  body: string;
  length: string;
}

export function createQuickReads({ tokens, directory, journal, telemetry, clock }: Parts): Quick {
  const ready = new WeakMap<Served, Ready>();

  function bodyOf(served: Served, now: number): Ready {
    const seconds = expiresIn(served, now);
    let known = ready.get(served);
    if (!known) {
      known = {
        before: `${JSON.stringify(tokenFacts(served)).slice(0, -1)},"expires_in":`,
        seconds: -1,
        body: '',
        length: '',
      };
      ready.set(served, known);
    }
    if (known.seconds !== seconds) {
      known.seconds = seconds;
      known.body = `${known.before}${seconds}}`;
      known.length = String(Buffer.byteLength(known.body));
    }
    return known;
  }

  return (request, response) => {
    if (request.method !== 'GET') return false;
    const asked = whatIsAsked(request.url ?? '');
    const { authorization, 'x-request-id': told } = request.headers;
    if (!asked || !authorization?.startsWith('Bearer ')) return false;
    const wall = clock.now();
    const principal = directory.find(authorization.slice(7), wall);
    if (!principal) return false;
    const started = clock.monotonic();
    const requestId = typeof told === 'string' && REQUEST_ID.test(told) ? told : randomUUID();
    const served = tokens.warm({ principal, address: addressOf(request), requestId }, asked.selector, asked.minTtlMs);
    if (!served) return false;

    const { body, length } = bodyOf(served, started);
    response.writeHead(200, [
      'content-type',
      'application/json',
      'cache-control',
      'no-store',
      'x-request-id',
      requestId,
      'content-length',
      length,
    ]);
    response.end(body);
    journal.used(principal.keyId, wall);
    telemetry.request(asked.route, 'GET', 200, (clock.monotonic() - started) / 1_000);
    return true;
  };
}

/** Undefined: not a read of a token, or not of the plainest form. */
function whatIsAsked(url: string): Asked | undefined {
  if (url.startsWith('/v1/connections/')) {
    const end = url.indexOf('/', 16);
    if (end < 0 || !url.startsWith('/token', end)) return undefined;
    const selector = url.slice(16, end);
    const rest = url.slice(end + 6);
    if (rest === '') return { route: BY_ID, selector, minTtlMs: undefined };
    const seconds = rest.startsWith('?min_ttl=') ? rest.slice(9) : '';
    return SECONDS.test(seconds) ? { route: BY_ID, selector, minTtlMs: Number(seconds) * 1_000 } : undefined;
  }
  if (!url.startsWith('/v1/token?')) return undefined;
  const query = new URLSearchParams(url.slice(10));
  const { integration, owner, label, min_ttl, ...others } = Object.fromEntries(query);
  if (!integration || !owner || Object.keys(others).length > 0) return undefined;
  if (min_ttl !== undefined && !SECONDS.test(min_ttl)) return undefined;
  const minTtlMs = min_ttl === undefined ? undefined : Number(min_ttl) * 1_000;
  return { route: BY_OWNER, selector: { integration, owner, label }, minTtlMs };
}

/** The peer's address, IPv4 in its own form. */
export function addressOf({ socket }: Pick<IncomingMessage, 'socket'>): string | null {
  const address = socket.remoteAddress;
  return address?.startsWith('::ffff:') ? address.slice(7) : (address ?? null);
}
