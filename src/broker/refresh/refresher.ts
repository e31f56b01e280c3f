// Refreshing one connection: wait for a turn, take the lease and write the intent, then spend, then keep, then show.
//
// A refresh belongs to nobody's request: callers wait for it, and one that hangs up stops waiting, nothing else.

import { type AuthMode, isMinted } from '../../domain/auth-modes.ts';
import { isInDoubt } from '../../domain/backoff.ts';
import { type Connection, type Credentials, lifetime } from '../../domain/connection.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { withDpopKey } from '../../domain/imported-credentials.ts';
import { isRenewable, isTooYoung } from '../../domain/refresh-schedule.ts';
import type {
  Claimed,
  Clock,
  Logger,
  PendingCommit,
  ProviderClient,
  ProviderFault,
  RefreshFailure,
  Store,
  Telemetry,
  TokenResponse,
  Vault,
} from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import { type ServedToken, type TokenCache, toServedToken } from '../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';
import { decryptAccessToken, decryptRenewalSecrets, encryptCredentials, newId } from '../secrets/index.ts';
import type { CircuitBreakers, OpenCircuit, Permit } from './circuit-breaker.ts';
import { classifyRefreshFailure, errorCode, type SpendTimes, unavailable } from './classify-failure.ts';
import type { RefreshCommitter } from './commit.ts';
import { createConcurrentRefreshes, reauthorizationRequired, refusalOf } from './concurrent-refresh.ts';
import { type Priority, type RateLimiter, RateLimiterStopped } from './rate-limiter.ts';
import { rotationFrom } from './rotation.ts';

/** How long a reader waits for a refresh; after that it is told to come back, and the refresh goes on. */
const READER_WAITS_MS = 15_000;
/** How long another process is waited for that holds the lease: longer than it may wait for a provider's answer. */
const HOLDER_HAS_MS = 12_000;
export interface RefresherParts {
  store: Store;
  vault: Vault;
  provider: Pick<ProviderClient, 'refresh'>;
  targets: Targets;
  tokenCache: TokenCache;
  committer: RefreshCommitter;
  rateLimiter: RateLimiter;
  circuitBreakers: CircuitBreakers;
  access: Pick<Access, 'recordOwn'>;
  telemetry: Pick<Telemetry, 'refresh'>;
  clock: Clock;
  log: Logger;
  random: () => number;
  /** Of an integration, as it was sent when the connection was made. */
  redirectUri: (integration: string) => string;
  /** Told how far a refresh has come; tests stop the process there. */
  reached?: ((point: RefreshPoint) => void) | undefined;
}

/** The intent is written · the provider has answered · the answer is durable. */
export type RefreshPoint = 'claimed' | 'answered' | 'kept';

interface Wish {
  /** Only if no newer generation than this is there. */
  seen?: number;
  /** Only if it is due until then. */
  dueBy?: number | undefined;
  /** The refresh token may have been spent at this time (ms, the first doubt), and its answer was lost. */
  lostAt?: number | undefined;
}

/** No answer came, and it is to be asked for again at once. */
interface Lost {
  lostAt: number;
  refusal: Refusal;
}

/** What every line of the log about one refresh says. */
interface Story {
  attempt: string;
  connection: string;
  integration: string;
}

export type Refresher = ReturnType<typeof createRefresher>;

export function createRefresher(parts: RefresherParts) {
  const {
    store,
    vault,
    provider,
    targets,
    tokenCache,
    committer,
    rateLimiter,
    circuitBreakers,
    access,
    telemetry,
    clock,
    log,
  } = parts;
  const concurrentRefreshes = createConcurrentRefreshes({ store, vault, tokenCache, clock });
  const inFlight = new Map<string, { outcome: Promise<ServedToken | Refusal>; integration?: string }>();

  /** A lost answer is asked for once more at once, where that is due: whoever waits goes on waiting. */
  async function pursue(id: string, urgency: Priority, wish: Wish): Promise<ServedToken | Refusal> {
    const outcome = await attempt(id, urgency, wish);
    if (!('lostAt' in outcome)) return outcome;
    try {
      const again = await attempt(id, 'read', { lostAt: outcome.lostAt });
      return 'lostAt' in again ? again.refusal : again;
    } catch (error) {
      if (error instanceof RateLimiterStopped) return outcome.refusal;
      throw error;
    }
  }

  async function attempt(id: string, urgency: Priority, wish: Wish): Promise<ServedToken | Refusal | Lost> {
    const { seen, dueBy, lostAt } = wish;
    const waiting = committer.rescuedFor(id);
    if (waiting) return rescued(waiting);
    const before = await store.connection(id);
    if (!before) return refuse({ code: 'not_found', what: 'connection', id });
    const theirs =
      seen !== undefined && before.generation > seen ? await concurrentRefreshes.readNewer(id, seen) : undefined;
    if (theirs instanceof Refusal || theirs?.ofUnknownAge === false) return theirs;
    // A reader was quicker: what it brought is what one who has joined meanwhile is given.
    if (dueBy !== undefined && (before.nextRefreshAt ?? Number.POSITIVE_INFINITY) > dueBy)
      return concurrentRefreshes.outcome({ ...before, generation: before.generation - 1 });
    const found = await targets.find(before.integration);
    if (found instanceof Refusal) return refusalOf(before) ?? found;
    const refused = refusalOf(before) ?? tooEarly(before, found, lostAt);
    if (refused) return refused;
    // The provider would refuse; what there is was issued a moment ago.
    if (isTooYoung(found.auth, clock.now() - before.issuedAt))
      return concurrentRefreshes.outcome({ ...before, generation: before.generation - 1 });

    const current = inFlight.get(id);
    if (current) current.integration = before.integration;
    const until = clock.monotonic() + HOLDER_HAS_MS;
    for (;;) {
      const outcome = await rateLimiter.run(before.integration, id, urgency, () => takeTurn(before, found, lostAt));
      if (outcome !== 'busy') return outcome;
      const won = await concurrentRefreshes.wait(before);
      if (won === 'failed') {
        const after = (await store.connection(id)) ?? before;
        return tooEarly(after, found) ?? concurrentRefreshes.outcome(after);
      }
      if (won !== 'undecided') return won;
      if (clock.monotonic() > until) return concurrentRefreshes.outcome(before);
    }
  }

  /** An open circuit would outlast the few seconds in which a lost answer can be had again. */
  const cannotWait = (lostAt: number | undefined): boolean => lostAt !== undefined && isInDoubt(lostAt, clock.now());

  /** What failed a moment ago is left alone, unless the integration was mended since. */
  function tooEarly(c: Connection, { integration }: ResolvedIntegration, lostAt?: number): Refusal | undefined {
    const last = c.lastRefreshError;
    if (last?.code === 'not_refreshable' && !hasExpired(c, clock.now()))
      return reauthorizationRequired(c.id, last.code);
    const wait = last?.retryAt && integration.updatedAt <= last.at ? last.retryAt - clock.now() : 0;
    // A clock that was set back does not lengthen the wait.
    if (last && wait > 0 && clock.now() >= last.at) return unavailable(c, last.code, last.detail, wait);
    const open = cannotWait(lostAt) ? undefined : circuitBreakers.blocked(c.integration, integration.version);
    return open && shut(c, open);
  }

  const shut = (c: Connection, { fault, retryIn }: OpenCircuit): Refusal =>
    unavailable(c, errorCode(fault), fault.detail, retryIn);

  async function takeTurn(
    before: Connection,
    found: ResolvedIntegration,
    lostAt: number | undefined,
  ): Promise<ServedToken | Refusal | Lost | 'busy'> {
    const leave = circuitBreakers.admit(before.integration, found.integration.version, cannotWait(lostAt));
    if ('retryIn' in leave) return shut(before, leave);
    let sent = false;
    try {
      const attemptId = newId('att', clock.now());
      const { generation } = before;
      const moment = { now: clock.now(), monotonic: clock.monotonic() };
      const claimed = await store.claim(before.id, { attempt: attemptId, generation, ...moment });
      if (claimed === 'busy') return 'busy';
      if (claimed === 'gone') return await concurrentRefreshes.outcome(before);
      const { connection, grant, unresolved } = claimed;
      const story: Story = { attempt: attemptId, connection: connection.id, integration: connection.integration };
      log.info({ ...story, generation: connection.generation, unresolved: unresolved?.attempt }, 'refresh: claimed');
      if (await committer.adopt(connection, claimed.fence, unresolved !== null))
        return await concurrentRefreshes.outcome(connection);
      const renewing = decryptRenewalSecrets(vault, connection.id, grant, found.auth);
      if (!isRenewable(found.auth, renewing)) return await notRefreshable(claimed);

      parts.reached?.('claimed');
      const spending = { firstAt: unresolved?.startedAt ?? moment.now, at: moment.now, monotonic: clock.monotonic() };
      const { identity, captured } = connection;
      // What was granted the last time is not all that may be asked for.
      const { scopes } = isMinted(found.auth) ? found.integration : connection;
      const redirectUri = parts.redirectUri(connection.integration);
      const result = await provider.refresh(targets.targetOf(found, connection), {
        grant: renewing,
        identity,
        scopes,
        captured,
        redirectUri,
      });
      sent = true;
      parts.reached?.('answered');
      circuitBreakers.report(leave, result.ok ? undefined : result.fault);
      return result.ok
        ? await keep(claimed, story, found.auth, result.value, renewing)
        : await failed(claimed, story, found.auth, result.fault, leave, spending);
    } finally {
      if (!sent) circuitBreakers.release(leave);
    }
  }

  /** Without a refresh token: dead once the access token has expired, alive (and not refreshable) until then. */
  async function notRefreshable(claimed: Claimed): Promise<ServedToken | Refusal> {
    const { connection } = claimed;
    const expired = hasExpired(connection, clock.now());
    const reason = expired ? 'grant_expired' : 'not_refreshable';
    const error = { code: reason, detail: 'the provider issued no refresh token', at: clock.now(), retryAt: null };
    const failure = { reason: expired ? ('grant_expired' as const) : null, error, nextRefreshAt: null, resolved: true };
    return settle(claimed, failure, reauthorizationRequired(connection.id, reason));
  }

  async function failed(
    claimed: Claimed,
    story: Story,
    auth: AuthMode,
    fault: ProviderFault,
    { integration, version }: Permit,
    sent: SpendTimes,
  ): Promise<ServedToken | Refusal | Lost> {
    const [now, monotonic] = [clock.now(), clock.monotonic()];
    const open = circuitBreakers.blocked(integration, version);
    const judged = classifyRefreshFailure({ fault, claimed, auth, open, sent, now, monotonic, random: parts.random() });
    const { failure, refusal, lostAt } = judged;
    telemetry.refresh(integration, failure.reason ?? fault.kind, lifeLeft(claimed.connection));
    const { kind, code, detail } = fault;
    log.warn({ ...story, kind, code, detail, reason: failure.reason }, 'refresh: failed');
    return settle(claimed, failure, lostAt === undefined ? refusal : { lostAt, refusal });
  }

  /** Puts the failure on record; `told` is what whoever waits hears, unless somebody else has won meanwhile. */
  async function settle<Told>({ connection, fence }: Claimed, failure: RefreshFailure, told: Told) {
    const { id, integration, owner, generation } = connection;
    const { reason, error } = failure;
    const action = reason === null ? 'connection.refresh_failed' : 'connection.needs_reauth';
    const by = access.recordOwn(
      action,
      { integration, owner, connectionId: id, detail: reason ?? error.code },
      'failed',
    );
    const written = await store.refreshFailed(id, { fence, generation }, failure, by);
    if (written !== 'kept') return concurrentRefreshes.outcome(connection);
    if (reason !== null) tokenCache.invalidate(connection, generation + 1);
    return told;
  }

  async function keep(
    claimed: Claimed,
    story: Story,
    auth: AuthMode,
    answer: TokenResponse,
    renewing: Credentials,
  ): Promise<ServedToken | Refusal> {
    const { connection, fence } = claimed;
    const { id, generation, integration, owner, params } = connection;
    const now = clock.now();
    const arrived = clock.monotonic();
    const change = rotationFrom(connection, auth, answer, now);
    const { expiresAt, captured } = change;
    const grant = encryptCredentials(vault, id, {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken ?? renewing.refreshToken,
      idToken: answer.idToken ?? null,
      credentials: withDpopKey(renewing.credentials, answer.dpopKey),
    });
    const held = { fence, generation };
    const ticket = tokenCache.ticket();
    const { attempt } = story;
    const kept = await committer.commit({
      attempt,
      connectionId: id,
      integration,
      owner,
      params,
      captured,
      held,
      change,
      grant,
    });
    parts.reached?.('kept');
    telemetry.refresh(integration, kept === 'kept' ? 'ok' : kept, lifeLeft(connection));
    log.info({ ...story, outcome: kept, generation: generation + 1, expires_at: expiresAt }, 'refresh: answered');
    if (kept === 'superseded' || kept === 'gone') return concurrentRefreshes.outcome(connection);
    const renewed = { ...connection, ...change, generation: generation + 1, failures: 0, lastRefreshError: null };
    const served = {
      ...toServedToken(renewed, answer.accessToken, clock),
      until: arrived + (lifetime(renewed) ?? Number.POSITIVE_INFINITY),
      ofUnknownAge: false,
    };
    tokenCache.put(served, ticket);
    // A store that takes it in after seconds only has outlived a short token.
    return served.until > clock.monotonic()
      ? served
      : unavailable(connection, 'store_unavailable', 'the store was not ready before the token expired', 1_000);
  }

  /** The newest token lies beside the store: it is served while it lives, and nothing is spent meanwhile. */
  async function rescued(waiting: PendingCommit): Promise<ServedToken | Refusal> {
    await committer.replayRescueFile();
    const { connectionId: id, change, held, grant } = waiting;
    const row = await store.servedRow(id);
    if (!row) return refuse({ code: 'not_found', what: 'connection', id });
    const accessToken = decryptAccessToken(vault, id, grant.accessToken);
    const refused = refusalOf(row.connection);
    if (refused || accessToken === null) return refused ?? concurrentRefreshes.outcome(row.connection);
    const connection = { ...row.connection, ...change, generation: held.generation + 1 };
    if (row.connection.generation > held.generation)
      return concurrentRefreshes.outcome({ ...row.connection, generation: held.generation });
    if (!hasExpired(connection, clock.now())) return toServedToken(connection, accessToken, clock);
    return unavailable(connection, 'store_unavailable', 'the store does not take the last refresh in', 1_000);
  }

  /** Seconds that the token had left when its refresh was done; null when it does not expire. */
  const lifeLeft = ({ expiresAt }: Connection): number | null =>
    expiresAt === null ? null : (expiresAt - clock.now()) / 1_000;

  function begin(id: string, urgency: Priority, wish: Wish): Promise<ServedToken | Refusal> {
    const running = inFlight.get(id);
    if (running) {
      if (urgency === 'read' && running.integration) rateLimiter.prioritize(running.integration, id);
      return running.outcome;
    }
    const outcome = Promise.resolve()
      .then(() => pursue(id, urgency, wish))
      .finally(() => inFlight.delete(id));
    inFlight.set(id, { outcome });
    return outcome;
  }

  return {
    /**
     * For somebody who reads, and has seen this generation: one refresh at a time for each connection, and whoever comes
     * meanwhile gets the same answer. They wait for a bounded time; the refresh itself is never given up.
     */
    refresh: ({ id, generation }: Pick<Connection, 'id' | 'generation'>): Promise<ServedToken | Refusal> =>
      impatiently(begin(id, 'read', { seen: generation }), id),
    /** For nobody: when its turn comes, and if it is still due by then (ms; undefined: in any case). */
    refreshAhead: (id: string, dueBy?: number): Promise<ServedToken | Refusal> => begin(id, 'background', { dueBy }),
    /**
     * For nobody: what may have been spent at `lostAt` (ms) and was not answered. While that can be had again, it waits
     * for no circuit, and for as little as a reader does.
     */
    resolve: (id: string, lostAt: number): Promise<ServedToken | Refusal> =>
      begin(id, isInDoubt(lostAt, clock.now()) ? 'read' : 'background', { lostAt }),
    inFlight: (): number => inFlight.size,
    /** Fulfilled when nothing is under way any more. */
    async drain(): Promise<void> {
      await Promise.allSettled([...inFlight.values()].map(({ outcome }) => outcome));
    },
  };

  async function impatiently(outcome: Promise<ServedToken | Refusal>, id: string): Promise<ServedToken | Refusal> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Refusal>((resolve) => {
      timer = setTimeout(() => {
        const integration = inFlight.get(id)?.integration ?? '';
        const detail = 'the refresh takes longer than a read waits';
        resolve(refuse({ code: 'provider_unavailable', integration, detail, retryAfter: 1 }));
      }, READER_WAITS_MS);
    });
    try {
      return await Promise.race([outcome, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

const hasExpired = ({ expiresAt }: Pick<Connection, 'expiresAt'>, now: number): boolean =>
  expiresAt !== null && expiresAt <= now;
