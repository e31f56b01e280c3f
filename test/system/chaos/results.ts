// What a chaos run saw, and what of it must hold.
import type { Spend } from './provider.ts';

export interface Kill {
  /** When its end was noticed. */
  at: number;
  /** Since when nothing could be kept, where somebody else held the database until shortly before. */
  heldSince: number | undefined;
}

export interface ReadFault {
  connection: string;
  at: number;
  tookMs: number;
  why: string;
}

export interface Observed {
  kills: Kill[];
  /**
   * One replica was cut off for longer than its lease is respected, while others went on: as a kill, at the time when its
   * refreshes could be taken over. What it had spent then, and could not keep in the database, another one spends again.
   */
  cuts: Kill[];
  /** Exit codes after SIGTERM. */
  terms: (number | null)[];
  reads: { served: number; withheld: ReadFault[]; refused: ReadFault[]; unavailable: number; unreachable: number };
  lost: { connection: string; reason: string }[];
  /** Neither served nor lost, although nothing was wrong any more. */
  stuck: ReadFault[];
  spends: Spend[];
}

export interface Figures {
  kills: number;
  reads: number;
  refreshes: number;
  /** Tokens served that the provider refused. */
  refused: string[];
  /** A valid token was there, and was not served. */
  withheld: string[];
  /** Refresh tokens spent again although their answer had come and no kill took place. */
  doubleSpends: string[];
  lost: number;
  /** How long before a kill the oldest answer had come that was lost with it; 0: none had come yet. */
  lostAnswerMs: number;
  /** Of those, whose answer was not in flight at a kill, or that do not say so. */
  lostWithoutCause: string[];
  stuck: string[];
  badExits: number;
}

/** How long after it was sent an answer may still be on its way into the store of a busy broker. */
export const KEEPING_MS = 500;
/** A replica that was cut off is dead to the others 6 s after its last sign of life, which may be 1.5 s old, or more. */
export const OUTLIVED_MS = 4_000;
/** Between a death and its being noticed. */
const NOTICED_MS = 100;

const LOSES_ANSWER = new Set(['garbageAfter', 'hangAfter', 'cutAfter', 'gatewayAfter']);

const clock = (at: number) => new Date(at).toISOString().slice(11, 23);
const line = ({ connection, at, tookMs, why }: { connection: string; at: number; tookMs: number; why: string }) =>
  `${clock(at)} ${connection} (+${tookMs} ms): ${why}`;

/** For so long an answer can be under way: the broker's deadline for it, and some. */
const UNDER_WAY_MS = 12_000;

/** Whether the answer to this spend was on its way when a kill came. */
const inFlightAt = ({ at, answeredAt, fault }: Spend, kill: Kill): boolean =>
  !LOSES_ANSWER.has(fault ?? '') &&
  at <= kill.at &&
  at > kill.at - UNDER_WAY_MS &&
  (answeredAt === undefined || answeredAt >= (kill.heldSince ?? kill.at) - NOTICED_MS - KEEPING_MS);

export function judge({ kills, cuts, terms, reads, lost, stuck, spends }: Observed): Figures {
  const ends = [...kills, ...cuts];
  const touched = spends.filter(({ spent }) => spent !== undefined);
  const byToken = Map.groupBy(touched, ({ token }) => token);

  const doubleSpends: string[] = [];
  for (const each of byToken.values()) {
    for (const [i, later] of each.entries()) {
      const earlier = each[i - 1];
      if (earlier === undefined || later.spent === 'dead' || LOSES_ANSWER.has(earlier.fault ?? '')) continue;
      if (ends.some((kill) => kill.at <= later.at + NOTICED_MS && inFlightAt(earlier, kill))) continue;
      const answered = earlier.answeredAt === undefined ? 'not answered' : `answered ${clock(earlier.answeredAt)}`;
      doubleSpends.push(
        `${later.family}: ${clock(earlier.at)} (${answered}), again ${clock(later.at)}: ${later.spent}`,
      );
    }
  }

  /** The spend whose answer the connection lacked when it was asked for again in vain. */
  const causeOf = (connection: string): Spend | undefined => {
    const reuse = touched.find(({ family, spent }) => family === connection && spent === 'reuse');
    return reuse && byToken.get(reuse.token)?.findLast(({ spent, at }) => spent !== 'reuse' && at <= reuse.at);
  };
  let lostAnswerMs = 0;
  const lostWithoutCause = lost.flatMap(({ connection, reason }) => {
    const cause = causeOf(connection);
    const kill = cause && ends.find((each) => inFlightAt(cause, each));
    if (kill) lostAnswerMs = Math.max(lostAnswerMs, kill.at - (cause.answeredAt ?? kill.at));
    if (kill && reason === 'refresh_outcome_unknown') return [];
    const why = cause ? `spent ${clock(cause.at)}, fault ${cause.fault ?? 'none'}` : 'never reused';
    return [`${connection}: ${reason}; ${why}${kill ? ', in flight at a kill' : ''}`];
  });

  return {
    kills: kills.length,
    reads: reads.served,
    refreshes: touched.filter(({ spent }) => spent === 'first').length,
    refused: reads.refused.map(line),
    withheld: reads.withheld.map(line),
    doubleSpends,
    lost: lost.length,
    lostAnswerMs,
    lostWithoutCause,
    stuck: stuck.map(line),
    badExits: terms.filter((code) => code !== 0).length,
  };
}

/** What does not hold, one sentence each; empty when all does. `windowMs`: the provider's reuse window. */
export function broken(figures: Figures, windowMs: number): string[] {
  const of = (what: string, found: string[]) =>
    found.length === 0 ? [] : [`${what}: ${found.length}\n    ${found.slice(0, 8).join('\n    ')}`];
  return [
    ...of('tokens served that the provider refused', figures.refused),
    ...of('valid tokens withheld', figures.withheld),
    ...of('refresh tokens spent twice without a kill', figures.doubleSpends),
    ...of('connections lost without an answer in flight at a kill', figures.lostWithoutCause),
    ...of('connections that did not recover', figures.stuck),
    ...(windowMs > 0 && figures.lost > 0 ? [`connections lost within a reuse window: ${figures.lost}`] : []),
    ...(figures.badExits > 0 ? [`exits after SIGTERM that were not 0: ${figures.badExits}`] : []),
  ];
}
