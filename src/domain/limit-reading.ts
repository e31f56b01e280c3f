// What an answer of an API says about limits: whether it was one, how long nothing should be sent, and what remains. By the
// catalogue's entry and the standards; hostile or absurd values keep no one waiting for long, and nothing here throws.
import type { LimitScope, ProviderRateLimits } from './api-dialect.ts';
import { answerBody, bodyWaitMs, isLimit, TOO_MANY_REQUESTS } from './limit-signals.ts';
import { answeredAt, type HeaderFields, headerFields, plausible, retryAfterOf } from './limit-values.ts';
import { type LimitWindow, untilMultiple, windowsOf } from './limit-windows.ts';
import { LIMIT_DEFAULT_WAIT_MS, LIMIT_WAIT_MAX_MS, LIMIT_WAIT_MIN_MS } from './time-limits.ts';

export { bodyTells } from './limit-signals.ts';

export interface LimitedAnswer {
  status: number;
  /** Names and values in turn. */
  headers: readonly string[];
  /** As far as it was read; undefined: it was not. */
  body?: string | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

/** What the wait was read from. `default`: nothing said how long. */
export type WaitSource = 'retry_after' | 'reset' | 'body' | 'aligned' | 'default';

export interface LimitReading {
  /** The request was refused because of a limit, whatever its status. */
  isLimited: boolean;
  /** Nothing should be sent for so long: between `LIMIT_WAIT_MIN_MS` and `LIMIT_WAIT_MAX_MS`. 0: nothing says so. */
  waitMs: number;
  /** Undefined: there is nothing to wait for. */
  source: WaitSource | undefined;
  /** Whose calls that limit counts, where the answer says so. */
  scope: LimitScope | undefined;
  /** The tightest window that tells what remains, and when it ends; undefined: none does. */
  window: { limit: number | undefined; remaining: number; resetMs: number } | undefined;
}

const NOTHING_TOLD: LimitReading = {
  isLimited: false,
  waitMs: 0,
  source: undefined,
  scope: undefined,
  window: undefined,
};

/** A name of the standard fields. A value may look like one, which costs no more than reading the others. */
const isOfLimits = (text: string): boolean => text.length >= 9 && /^ratelimit/i.test(text);

/** `dialect` undefined: the entry says nothing of limits. Then what is standard counts. */
export function readLimit(dialect: ProviderRateLimits | undefined, answer: LimitedAnswer): LimitReading {
  const { status } = answer;
  if (!dialect && status !== TOO_MANY_REQUESTS && !answer.headers.some(isOfLimits)) return NOTHING_TOLD;
  const headers = headerFields(answer.headers);
  const now = answeredAt(headers, answer.now);
  const body = answerBody(answer.body ?? '');
  const retryAfter = retryAfterOf(headers.lines(dialect?.headers.retry_after?.name ?? 'Retry-After'), now);
  const windows = windowsOf(dialect, headers, now).filter(isGenuine);
  const isExhausted = windows.some(({ remaining }) => remaining === 0);
  const isLimited = isLimit(dialect, {
    status,
    headers,
    body,
    hasRetryAfter: retryAfter !== undefined,
    isExhausted,
  });
  const wait = isLimited
    ? waitOf(dialect, { retryAfter, windows, bodyMs: plausible(bodyWaitMs(dialect?.body_wait, body)), now })
    : exhausted(windows);
  return {
    isLimited,
    waitMs: wait ? clamp(wait.ms) : 0,
    source: wait?.source,
    scope: isLimited ? namedScope(dialect, headers) : undefined,
    window: tightest(windows),
  };
}

interface Told {
  retryAfter: number | undefined;
  windows: LimitWindow[];
  bodyMs: number | undefined;
  now: number;
}

interface Wait {
  ms: number;
  source: WaitSource;
}

function waitOf(dialect: ProviderRateLimits | undefined, { retryAfter, windows, bodyMs, now }: Told): Wait {
  if (retryAfter !== undefined) return { ms: retryAfter, source: 'retry_after' };
  const reset = exhausted(windows) ?? unknownWindow(windows);
  if (reset) return reset;
  if (bodyMs !== undefined) return { ms: bodyMs, source: 'body' };
  if (dialect?.aligned !== undefined) return { ms: untilMultiple(dialect.aligned, now), source: 'aligned' };
  const seconds = dialect?.default_wait;
  return { ms: seconds === undefined ? LIMIT_DEFAULT_WAIT_MS : seconds * 1_000, source: 'default' };
}

/** Until the last of the windows of which nothing remains. */
function exhausted(windows: readonly LimitWindow[]): Wait | undefined {
  const resets = windows.flatMap(({ remaining, resetMs }) =>
    remaining !== undefined && remaining < 1 && resetMs !== undefined ? [resetMs] : [],
  );
  return resets.length === 0 ? undefined : { ms: Math.max(...resets), source: 'reset' };
}

/** Where it is told when a window ends, and not what remains of it: after a refusal, nothing does. */
function unknownWindow(windows: readonly LimitWindow[]): Wait | undefined {
  const resets = windows.flatMap(({ remaining, resetMs }) =>
    remaining === undefined && resetMs !== undefined ? [resetMs] : [],
  );
  return resets.length === 0 ? undefined : { ms: Math.max(...resets), source: 'reset' };
}

/** A limit of 0 says that the request counted against another limit, such as one of concurrency. */
const isGenuine = ({ limit }: LimitWindow): boolean => limit !== 0;

function tightest(windows: readonly LimitWindow[]): LimitReading['window'] {
  let found: LimitReading['window'];
  for (const { limit, remaining, resetMs } of windows) {
    if (remaining === undefined || resetMs === undefined || resetMs <= 0) continue;
    if (found && found.remaining <= remaining) continue;
    found = { limit, remaining: Math.floor(remaining), resetMs: Math.min(resetMs, LIMIT_WAIT_MAX_MS) };
  }
  return found;
}

function namedScope(dialect: ProviderRateLimits | undefined, headers: HeaderFields): LimitScope | undefined {
  if (!dialect?.reason) return undefined;
  const { header, scopes } = dialect.reason;
  const reason = headers.lines(header)[0]?.trim();
  return reason !== undefined && Object.hasOwn(scopes, reason) ? scopes[reason] : undefined;
}

const clamp = (ms: number): number => Math.min(Math.max(Math.ceil(ms), LIMIT_WAIT_MIN_MS), LIMIT_WAIT_MAX_MS);
