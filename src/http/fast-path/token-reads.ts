// Reads of tokens: from memory at once, or with one row of the store.
import type { ServedToken } from '../../broker/cache/index.ts';
import type { OwnerSelector, TokenReader } from '../../broker/tokens/index.ts';
import type { Clock } from '../../ports/index.ts';
import { expiresIn, tokenFacts } from '../presenters.ts';
import type { FastPath, Listen } from './fast-path.ts';

const BY_ID = '/v1/connections/:id/token';
const BY_OWNER = '/v1/token';
const CONNECTIONS = '/v1/connections/';
/** The same that the long way takes for whole numbers of seconds. */
const SECONDS = /^\d{1,6}$/;

interface Parts {
  quick: FastPath;
  tokens: Pick<TokenReader, 'warm' | 'cold'>;
  clock: Clock;
}

interface Asked {
  route: string;
  selector: string | OwnerSelector;
  minTtlMs: number | undefined;
}

/** The answer but for `expires_in`, and its length in bytes. */
interface Ready {
  before: string;
  bytes: number;
}

/** Whether the URL is that of a read. */
export const isRead = (url: string): boolean => url.startsWith(CONNECTIONS) || url.startsWith('/v1/token?');

export function createFastTokenReads({ quick, tokens, clock }: Parts): Listen {
  const ready = new WeakMap<ServedToken, Ready>();

  function prepare(served: ServedToken): Ready {
    const before = `${JSON.stringify(tokenFacts(served)).slice(0, -1)},"expires_in":`;
    return { before, bytes: Buffer.byteLength(before) };
  }

  /** Kept from the second read on: of what is read once, memory holds the token alone. */
  function kept(served: ServedToken): Ready {
    const known = ready.get(served);
    if (known) return known;
    const made = prepare(served);
    ready.set(served, made);
    return made;
  }

  return (request, response, theLongWay) => {
    const asked = whatIsAsked(request.url ?? '');
    const passage = asked && quick.enter(request);
    if (!asked || !passage) return theLongWay();
    const { route, selector, minTtlMs } = asked;
    const show = (served: ServedToken, { before, bytes }: Ready) => {
      const last = `${expiresIn(served, clock.monotonic())}}`;
      quick.answer(response, passage, route, before + last, String(bytes + last.length));
    };
    const warm = tokens.warm(passage.call, selector, minTtlMs);
    if (warm) return show(warm, kept(warm));
    tokens
      .cold(passage.call, selector, minTtlMs)
      .then((cold) => (cold ? show(cold, prepare(cold)) : theLongWay()), theLongWay);
  };
}

/** Undefined: not a read of a token, or not of the plainest form. */
function whatIsAsked(url: string): Asked | undefined {
  if (!url.startsWith(CONNECTIONS)) return byOwner(url);
  const end = url.indexOf('/', CONNECTIONS.length);
  if (end < 0 || !url.startsWith('/token', end)) return undefined;
  const selector = url.slice(CONNECTIONS.length, end);
  const rest = url.slice(end + '/token'.length);
  if (rest === '') return { route: BY_ID, selector, minTtlMs: undefined };
  const seconds = rest.startsWith('?min_ttl=') ? rest.slice('?min_ttl='.length) : '';
  return SECONDS.test(seconds) ? { route: BY_ID, selector, minTtlMs: Number(seconds) * 1_000 } : undefined;
}

function byOwner(url: string): Asked | undefined {
  let integration: string | undefined;
  let owner: string | undefined;
  let label: string | undefined;
  let minTtlMs: number | undefined;
  for (const pair of url.slice(url.indexOf('?') + 1).split('&')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at);
    const text = pair.slice(at + 1);
    // Whatever is encoded, empty or unknown is read by those who read it well.
    if (text === '' || text.includes('%') || text.includes('+')) return undefined;
    if (name === 'integration' && integration === undefined) integration = text;
    else if (name === 'owner' && owner === undefined) owner = text;
    else if (name === 'label' && label === undefined) label = text;
    else if (name === 'min_ttl' && minTtlMs === undefined && SECONDS.test(text)) minTtlMs = Number(text) * 1_000;
    else return undefined;
  }
  if (integration === undefined || owner === undefined) return undefined;
  return { route: BY_OWNER, selector: { integration, owner, label }, minTtlMs };
}
