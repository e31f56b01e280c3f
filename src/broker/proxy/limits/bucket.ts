// One bucket: what may be sent now of the calls that one limit counts together, and who waits for it. It learns from answers:
// a refusal blocks it, what remains of a window is not exceeded, and after a block few calls go first.
import { type CallerQueue, createCallerQueue, type Queued } from '../../../domain/caller-queue.ts';
import type { UpstreamLimitScope } from '../../../domain/errors.ts';
import type { LimitReading } from '../../../domain/limit-reading.ts';
import type { LimitView } from '../../../domain/limits-state.ts';
import { createPlaces, RESERVED } from '../../../domain/places.ts';
import { createRecentCallers } from '../../../domain/recent-callers.ts';
import { createSlowStart, type SlowStart } from '../../../domain/slow-start.ts';
import { LIMIT_DEFAULT_WAIT_MAX_MS, LIMIT_UNREFUSED_MAX_MS, LIMIT_WAIT_MIN_MS } from '../../../domain/time-limits.ts';
import type { Clock } from '../../../ports/index.ts';
import type { BucketName } from './bucket-names.ts';
import type { RateTokens } from './rate-tokens.ts';

/** A call that has begun. */
export interface Begun {
  /** What its answer says. */
  learn(reading: LimitReading): void;
  /** It has ended: its place is free. The first call counts. */
  leave(): void;
}

/** Nothing can be sent for so long, by this limit. */
export interface Limited {
  waitMs: number;
  scope: UpstreamLimitScope;
}

/** A call that waits. `settle` is called once. */
export interface Waiter extends Queued {
  isBackground: boolean;
  /** Until when (monotonic) it waits. */
  until: number;
  settle(outcome: Begun | Limited): void;
}

export interface BucketSettings {
  /** Calls at once, of this process; undefined: any number. */
  places: number | undefined;
  /** Those of its rate, which counts until the API tells what remains; undefined: it has none. */
  tokens: RateTokens | undefined;
}

export interface Bucket {
  settings: BucketSettings;
  /** Undefined: it has to wait. */
  beginNow(caller: string, isBackground: boolean): Begun | undefined;
  /** Begins now, or queues it as long as it may become something in time. */
  admit(waiter: Waiter): void;
  /** How long nothing can be sent, as far as that is known; undefined: something can. */
  blocked(isBackground: boolean): Limited | undefined;
  /** It does not wait any more: its caller has hung up. */
  withdraw(waiter: Waiter): void;
  /** What the answer to a call that began in another bucket says of this one. */
  learn(reading: LimitReading): void;
  /** Something else has changed that it depends on. */
  look(): void;
  waiting(): number;
  /** As it is now; undefined: nothing of it is in use or known. */
  view(): LimitView | undefined;
  /** All who wait are refused. */
  stop(): void;
}

const MAX_WAITING = 1_000;
/** After a refusal, so many calls go at once, until so many have succeeded. */
const RESUME = { first: 2, until: 16 };

interface Window {
  left: number;
  /** Monotonic. */
  until: number;
  limit: number | undefined;
  sequence: number;
}

interface Parts {
  name: BucketName;
  /** Until when (monotonic) another replica has blocked it. */
  blockedElsewhere: () => number;
  /** Tells the other replicas. */
  tell: (forMs: number) => void;
  clock: Pick<Clock, 'monotonic'>;
}

export function createBucket({ name, blockedElsewhere, tell, clock }: Parts): Bucket {
  const queues = { urgent: createCallerQueue<Waiter>(), background: createCallerQueue<Waiter>() };
  const timers = new Map<Waiter, NodeJS.Timeout>();
  let blockedUntil = 0;
  /** Calls have numbers as they begin. Those up to this one began before it was known that calls are refused. */
  let refusedSequence = 0;
  let refusals = 0;
  let window: Window | undefined;
  /** The API tells what remains, which is truer than a documented rate. */
  let isTold = false;
  let resume: SlowStart | undefined;
  const callers = createRecentCallers(clock);
  const places = createPlaces(callers);
  /** Of these, those whose answer has not begun: it does not count them yet. */
  let unanswered = 0;
  let sequence = 0;
  let wake: NodeJS.Timeout | undefined;
  let isAsking = false;

  const queueOf = ({ isBackground }: Waiter): CallerQueue<Waiter> => (isBackground ? queues.background : queues.urgent);

  /** Milliseconds until a time has passed; 0 or less: none is waited for. */
  function untilFree(isBackground: boolean): number {
    const now = clock.monotonic();
    let until = Math.max(blockedUntil, blockedElsewhere());
    if (window && window.until <= now) window = undefined;
    const reserved = isBackground ? Math.floor((window?.limit ?? 0) * RESERVED) : 0;
    if (window && window.left <= reserved) until = Math.max(until, window.until);
    return until - now;
  }

  function hasPlace(caller: string, isBackground: boolean): boolean {
    if (resume?.isOver()) resume = undefined;
    if (!places.isFree(bucket.settings.places, caller, isBackground)) return false;
    return !resume || resume.isFree(caller, isBackground);
  }

  /** The call, milliseconds to wait, or what it waits for besides. */
  function begin(caller: string, isBackground: boolean): Begun | number | 'place' | 'token' {
    const ms = untilFree(isBackground);
    if (ms > 0) return ms;
    if (!hasPlace(caller, isBackground)) return 'place';
    if (!isTold && bucket.settings.tokens && !bucket.settings.tokens.take(isBackground)) return 'token';
    if (window) window.left--;
    return call(caller, ++sequence);
  }

  function call(caller: string, mine: number): Begun {
    const entered = resume;
    let isAnswered = false;
    let hasLeft = false;
    /** Once, before what the answer says is noted. */
    const answered = (isRefused: boolean) => {
      if (isAnswered) return;
      isAnswered = true;
      unanswered--;
      entered?.giveBack(caller, !isRefused && mine > refusedSequence);
    };
    places.take(caller);
    entered?.take(caller);
    unanswered++;
    return {
      learn(reading) {
        if (hasLeft) return;
        answered(reading.isLimited);
        note(mine, reading);
        advance();
      },
      leave() {
        if (hasLeft) return;
        hasLeft = true;
        places.giveBack(caller);
        answered(false);
        advance();
      },
    };
  }

  /** Of those that may take a place, the urgent ones first; if none may, the first of all, who says what is waited for. */
  function nextInTurn() {
    const of = (isBackground: boolean, may = (caller: string) => hasPlace(caller, isBackground)) => {
      const queue = isBackground ? queues.background : queues.urgent;
      const caller = queue.nextCaller(may);
      return caller === undefined ? undefined : { caller, queue, isBackground };
    };
    const any = () => true;
    return of(false) ?? of(true) ?? of(false, any) ?? of(true, any);
  }

  /** Lets those begin who may, the urgent ones first. */
  function advance(): void {
    clearTimeout(wake);
    wake = undefined;
    while (!isAsking && bucket.waiting() > 0) {
      const next = nextInTurn();
      if (!next) return;
      const { caller, queue, isBackground } = next;
      const begun = begin(caller, isBackground);
      if (typeof begun === 'object') settle(queue.next(caller)!, begun);
      else {
        if (begun === 'token') askForTokens(queue.size, isBackground);
        else waitFor(begun === 'place' ? undefined : begun);
        return;
      }
    }
  }

  /** Undefined: for a place, which no one knows when it is free. Refuses those who would wait in vain. */
  function waitFor(ms: number | undefined): void {
    const from = clock.monotonic() + (ms ?? 0);
    const waitMs = ms ?? LIMIT_WAIT_MIN_MS;
    for (const waiter of [...queues.urgent.all(), ...queues.background.all()])
      if (ms === undefined ? waiter.until <= from : waiter.until < from) refuse(waiter, { waitMs, scope: name.scope });
    if (ms !== undefined && queues.urgent.size + queues.background.size > 0)
      wake = setTimeout(advance, Math.max(1, Math.ceil(ms)));
  }

  function askForTokens(wanted: number, isBackground: boolean): void {
    isAsking = true;
    void bucket.settings.tokens!.refill(wanted, isBackground).then((inMs) => {
      isAsking = false;
      const isFirst = isBackground === (queues.urgent.size === 0);
      if (inMs > 0 && isFirst) waitFor(inMs);
      else advance();
    });
  }

  function settle(waiter: Waiter, outcome: Begun | Limited): void {
    clearTimeout(timers.get(waiter));
    timers.delete(waiter);
    waiter.settle(outcome);
  }

  function refuse(waiter: Waiter, limited: Limited): void {
    if (queueOf(waiter).remove(waiter)) settle(waiter, limited);
  }

  const limited = (isBackground: boolean): Limited => ({
    waitMs: Math.max(untilFree(isBackground), LIMIT_WAIT_MIN_MS),
    scope: name.scope,
  });

  function block(forMs: number): void {
    const until = clock.monotonic() + forMs;
    // Many calls are refused at the same moment: one of them is enough to tell the others.
    if (until > blockedUntil + LIMIT_WAIT_MIN_MS) tell(forMs);
    blockedUntil = Math.max(blockedUntil, until);
  }

  function note(mine: number, reading: LimitReading): void {
    if (reading.isLimited) refused(mine, reading);
    else {
      if (mine > refusedSequence) refusals = 0;
      if (reading.window) noteWindow(mine, reading.window);
    }
  }

  function refused(mine: number, { waitMs, source }: LimitReading): void {
    const isKnown = mine <= refusedSequence || blockedUntil > clock.monotonic();
    if (!isKnown) {
      refusals++;
      refusedSequence = sequence;
      resume = createSlowStart(RESUME, callers);
    }
    // Nothing says how long: twice as long each time. Those that were under way say nothing new.
    if (source !== 'default') block(waitMs);
    else if (!isKnown) block(Math.min(waitMs * 2 ** Math.min(refusals - 1, 20), LIMIT_DEFAULT_WAIT_MAX_MS));
  }

  function noteWindow(mine: number, { limit, remaining, resetMs }: NonNullable<LimitReading['window']>): void {
    isTold = true;
    // Answers that overtook this one know better.
    const left = Math.max(0, remaining - unanswered);
    const until = clock.monotonic() + Math.min(resetMs, LIMIT_UNREFUSED_MAX_MS);
    if (window && window.sequence > mine) window.left = Math.min(window.left, left);
    else window = { left, until, limit, sequence: mine };
    if (remaining === 0) tell(Math.min(resetMs, LIMIT_UNREFUSED_MAX_MS));
  }

  const bucket: Bucket = {
    settings: { places: undefined, tokens: undefined },
    beginNow(caller, isBackground) {
      callers.note(caller);
      const isFirst = queues.urgent.size === 0 && (!isBackground || queues.background.size === 0);
      if (!isFirst || isAsking) return undefined;
      const begun = begin(caller, isBackground);
      return typeof begun === 'object' ? begun : undefined;
    },
    admit(waiter) {
      const begun = bucket.beginNow(waiter.caller, waiter.isBackground);
      if (begun) return waiter.settle(begun);
      if (queues.urgent.size + queues.background.size >= MAX_WAITING) {
        // No one may keep others out by waiting often.
        const last = queues.background.displacedBy(waiter) ?? queueOf(waiter).displacedBy(waiter);
        if (!last) return waiter.settle(limited(waiter.isBackground));
        refuse(last, limited(last.isBackground));
      }
      queueOf(waiter).push(waiter);
      const forMs = waiter.until - clock.monotonic();
      if (forMs > 0)
        timers.set(
          waiter,
          setTimeout(() => refuse(waiter, limited(waiter.isBackground)), forMs),
        );
      advance();
    },
    blocked(isBackground) {
      const waitMs = untilFree(isBackground);
      return waitMs > 0 ? { waitMs, scope: name.scope } : undefined;
    },
    withdraw: (waiter) => refuse(waiter, limited(waiter.isBackground)),
    learn(reading) {
      note(sequence + 1, reading);
      advance();
    },
    look: () => advance(),
    waiting: () => queues.urgent.size + queues.background.size,
    view() {
      const now = clock.monotonic();
      const { places: total, tokens } = bucket.settings;
      const inFlight = places.taken();
      const blockedForMs = Math.max(0, untilFree(false));
      const waiting = queues.urgent.size + queues.background.size;
      if (blockedForMs === 0 && waiting === 0 && inFlight === 0 && !window && !tokens) return undefined;
      return {
        integration: name.integration,
        scope: name.scope,
        of: name.of,
        ...{ waiting, inFlight, blockedForMs },
        places: total ?? null,
        window: window ? { left: window.left, limit: window.limit ?? null, resetMs: window.until - now } : null,
        rate: tokens && !isTold ? { requests: tokens.rate.requests, windowS: tokens.rate.window } : null,
        isResuming: resume !== undefined && !resume.isOver(),
      };
    },
    stop() {
      for (const waiter of [...queues.urgent.all(), ...queues.background.all()])
        refuse(waiter, limited(waiter.isBackground));
      clearTimeout(wake);
    },
  };
  return bucket;
}
