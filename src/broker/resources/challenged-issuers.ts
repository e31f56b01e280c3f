// Which authorization server a resource names after a challenge: read again, but not for each of the callers that meet it. When a
// server changes its keys, every token of it is challenged at once; and a caller may invent any number.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { parseBearerChallenge } from '../../domain/protected-resource.ts';
import type { Target } from '../../domain/target.ts';
import { CHALLENGE_TTL_MS, CHALLENGE_WINDOW_MS } from '../../domain/time-limits.ts';
import type { Clock, ProviderResult, ResourceChallenge, ResourceDiscovery } from '../../ports/index.ts';
import { createRecentCounts } from './recent-counts.ts';

/** Discoveries for challenges of one resource within `CHALLENGE_WINDOW_MS`, whatever the challenges name. */
const MOST_DISCOVERIES = 20;
const REMEMBERED = 1_000;

export interface ChallengedIssuers {
  /**
   * The issuer that the resource leads to, read after the challenge or `CHALLENGE_TTL_MS` before it; `transient` where the
   * resource was asked too often. `key` is of the resource as one integration has it; `asked` is called when it is asked now.
   */
  read(
    key: string,
    target: Target,
    challenge: ResourceChallenge,
    asked: () => void,
  ): Promise<ProviderResult<{ issuer: string }>>;
}

interface Parts {
  discovery: Pick<ResourceDiscovery, 'discover'>;
  clock: Pick<Clock, 'monotonic'>;
}

type Answer = Promise<ProviderResult<{ issuer: string }>>;

export function createChallengedIssuers({ discovery, clock }: Parts): ChallengedIssuers {
  /** Failures too: a server that hangs is not asked by each caller. */
  const answers = new LRUCache<string, { answer: Answer; until: number }>(upTo(REMEMBERED));
  const counts = createRecentCounts(clock, CHALLENGE_WINDOW_MS);

  async function ask(target: Target, challenge: ResourceChallenge): Answer {
    const found = await discovery.discover(target, challenge);
    return found.ok ? { ok: true, value: { issuer: found.value.server.issuer } } : found;
  }

  return {
    async read(key, target, challenge, asked) {
      const place = JSON.stringify([key, parseBearerChallenge(challenge.wwwAuthenticate)?.resourceMetadata]);
      const now = clock.monotonic();
      const known = answers.get(place);
      if (known && now < known.until) return known.answer;
      if (counts.waitOf(key, MOST_DISCOVERIES) !== undefined) return TOO_MANY;
      counts.count(key);
      asked();
      // While it runs it is shared, however long that is.
      const running = { answer: ask(target, challenge), until: Number.POSITIVE_INFINITY };
      answers.set(place, running);
      try {
        const answer = await running.answer;
        running.until = clock.monotonic() + CHALLENGE_TTL_MS;
        return answer;
      } catch (error) {
        running.until = now;
        throw error;
      }
    },
  };
}

const TOO_MANY: Awaited<Answer> = {
  ok: false,
  fault: {
    kind: 'transient',
    code: 'too_many_challenges',
    detail: 'the metadata of the resource were read too often for challenges',
    retryAfter: CHALLENGE_WINDOW_MS / 1_000,
    outcomeUnknown: false,
  },
};
