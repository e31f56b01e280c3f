// The observations of a chaos run, and its invariants.
import type { RefreshRecord } from './provider.ts';

export interface Kill {
  /** When the signal was sent, or the broker was told to kill itself. */
  from: number;
  /** When its exit was noticed. */
  at: number;
}

/** While a broker was stopped (SIGSTOP). */
export interface Freeze {
  from: number;
  to: number;
}

export interface ReadFault {
  connection: string;
  at: number;
  tookMs: number;
  why: string;
}

export interface Observations {
  kills: Kill[];
  /**
   * Replicas that were disconnected for longer than their leases last, while others ran: as a kill, at the time when others
   * could take their leases over. Refresh tokens that they had spent and could not commit are spent again by others.
   */
  takeovers: Kill[];
  /** When the frozen provider went on: what had been sent meanwhile, second requests too, it reads at once. */
  thaws: number[];
  /** A response that has arrived may not be read before the end; within a reuse window, another replica asks for it again. */
  freezes: Freeze[];
  /** Exit codes after SIGTERM. */
  exitCodes: (number | null)[];
  reads: { served: number; withheld: ReadFault[]; refused: ReadFault[]; unavailable: ReadFault[]; unreachable: number };
  lost: { connection: string; reason: string }[];
  /** Neither served nor lost, although all faults were over. */
  stuck: ReadFault[];
  spends: RefreshRecord[];
}

export interface Figures {
  kills: number;
  reads: number;
  refreshes: number;
  /** Served tokens that the provider refused. */
  refused: string[];
  /** Reads that failed although a valid token was available. */
  withheld: string[];
  /** Refresh tokens that were spent again although no broker was killed, or their response was known to be stored. */
  doubleSpends: string[];
  lost: number;
  /** The age in ms of the oldest response that was lost in a kill; 0: none had arrived yet. */
  lostResponseMs: number;
  /** Lost connections whose response no kill can have lost, or that have another reason. */
  lostWithoutCause: string[];
  stuck: string[];
  badExits: number;
}

/** Others take a disconnected replica's leases over 6 s after its last heartbeat, which may be 1.5 s old or more. */
export const TAKEOVER_MS = 4_000;
/** How long a provider takes to read what was sent while it was frozen. */
const THAW_MS = 1_000;
/** Between an exit and its notice. */
const EXIT_NOTICE_MS = 100;

const LOST_RESPONSE_FAULTS = new Set(['garbageAfter', 'hangAfter', 'cutAfter', 'gatewayAfter']);

const clock = (at: number) => new Date(at).toISOString().slice(11, 23);
const describeFault = ({
  connection,
  at,
  tookMs,
  why,
}: {
  connection: string;
  at: number;
  tookMs: number;
  why: string;
}) => `${clock(at)} ${connection} (+${tookMs} ms): ${why}`;

/** How long a response can be in flight: the broker's deadline, and a margin. */
const IN_FLIGHT_MS = 130_000;

/** Whether the kill came between both requests, while the response to the earlier one may have been in flight. */
const isBetween = ({ from, at }: Kill, earlier: RefreshRecord, later: RefreshRecord): boolean =>
  !LOST_RESPONSE_FAULTS.has(earlier.fault ?? '') &&
  earlier.at <= at &&
  earlier.at > at - IN_FLIGHT_MS &&
  from <= later.at;

/** Whether the earlier request came to a broker before it was stopped, and the later one while it was. */
const isWithin = ({ from, to }: Freeze, earlier: RefreshRecord, later: RefreshRecord): boolean =>
  earlier.at < from + EXIT_NOTICE_MS && later.at <= to + EXIT_NOTICE_MS;

export function summarize({
  kills,
  takeovers,
  thaws,
  freezes,
  exitCodes,
  reads,
  lost,
  stuck,
  spends,
}: Observations): Figures {
  const interruptions = [...kills, ...takeovers];
  const refreshes = spends.filter(({ spent }) => spent !== undefined);
  const byToken = Map.groupBy(refreshes, ({ token }) => token);
  const requests = Map.groupBy(spends, ({ token }) => token);
  /**
   * Whether the response was certainly stored at that time: a broker shows a token to a client, and spends a refresh token, only when
   * it is durable. How long a broker takes from a response to its commit says nothing: that depends on what else the machine does.
   */
  const wasStored = ({ successor, servedAt }: RefreshRecord, by: number): boolean => {
    const [firstUse] = (successor !== undefined && requests.get(successor)) || [];
    return (servedAt ?? Number.POSITIVE_INFINITY) <= by || (firstUse?.at ?? Number.POSITIVE_INFINITY) <= by;
  };
  /** The kill or takeover that may have lost the response to the earlier request, so that the later one was sent. */
  const lostIn = (earlier: RefreshRecord, later: RefreshRecord): Kill | undefined =>
    wasStored(earlier, later.at) ? undefined : interruptions.find((kill) => isBetween(kill, earlier, later));

  const doubleSpends: string[] = [];
  for (const uses of byToken.values()) {
    for (const [i, later] of uses.entries()) {
      const earlier = uses[i - 1];
      // A second request beside a slow one, within the reuse window.
      if (later.spent === 'repeat' && earlier && (earlier.answeredAt ?? Infinity) > later.at) continue;
      if (later.spent === 'repeat' && thaws.some((at) => later.at >= at && later.at < at + THAW_MS)) continue;
      if (earlier === undefined || later.spent === 'dead' || LOST_RESPONSE_FAULTS.has(earlier.fault ?? '')) continue;
      const isFrozen = !wasStored(earlier, later.at) && freezes.some((freeze) => isWithin(freeze, earlier, later));
      if (later.spent === 'repeat' && isFrozen) continue;
      if (lostIn(earlier, later)) continue;
      const arrived = earlier.answeredAt === undefined ? 'not answered' : `answered ${clock(earlier.answeredAt)}`;
      const answered = earlier.servedAt === undefined ? arrived : `${arrived}, served ${clock(earlier.servedAt)}`;
      const next = kills.find(({ at }) => at >= (earlier.answeredAt ?? earlier.at));
      doubleSpends.push(
        `${later.family}: ${clock(earlier.at)} (${answered}, next kill ${next ? clock(next.at) : 'none'}), again ${clock(later.at)}: ${later.spent}`,
      );
    }
  }

  /** The refresh whose lost response made the connection reuse a refresh token, and the kill that may have lost it. */
  const causeOf = (connection: string): { cause?: RefreshRecord | undefined; kill?: Kill | undefined } => {
    const reuse = refreshes.find(({ family, spent }) => family === connection && spent === 'reuse');
    const cause = reuse && byToken.get(reuse.token)?.findLast(({ spent, at }) => spent !== 'reuse' && at <= reuse.at);
    return { cause, kill: cause && lostIn(cause, reuse) };
  };
  let lostResponseMs = 0;
  const lostWithoutCause = lost.flatMap(({ connection, reason }) => {
    const { cause, kill } = causeOf(connection);
    if (cause && kill) lostResponseMs = Math.max(lostResponseMs, kill.at - (cause.answeredAt ?? kill.at));
    if (kill && reason === 'refresh_outcome_unknown') return [];
    const why = cause ? `spent ${clock(cause.at)}, fault ${cause.fault ?? 'none'}` : 'never reused';
    return [`${connection}: ${reason}; ${why}${kill ? ', lost in a kill' : ''}`];
  });

  return {
    kills: kills.length,
    reads: reads.served,
    refreshes: refreshes.filter(({ spent }) => spent === 'first').length,
    refused: reads.refused.map(describeFault),
    withheld: reads.withheld.map(describeFault),
    doubleSpends,
    lost: lost.length,
    lostResponseMs: lostResponseMs,
    lostWithoutCause,
    stuck: stuck.map(describeFault),
    badExits: exitCodes.filter((code) => code !== 0).length,
  };
}

/** The violated invariants, in words; empty when all hold. `windowMs`: the provider's reuse window. */
export function violatedInvariants(figures: Figures, windowMs: number): string[] {
  const invariant = (what: string, found: string[]) =>
    found.length === 0 ? [] : [`${what}: ${found.length}\n    ${found.slice(0, 8).join('\n    ')}`];
  return [
    ...invariant('tokens served that the provider refused', figures.refused),
    ...invariant('valid tokens withheld', figures.withheld),
    ...invariant('refresh tokens spent twice, whose response no kill can have lost', figures.doubleSpends),
    ...invariant('connections lost whose response no kill can have lost', figures.lostWithoutCause),
    ...invariant('connections that did not recover', figures.stuck),
    ...(windowMs > 0 && figures.lost > 0 ? [`connections lost within a reuse window: ${figures.lost}`] : []),
    ...(figures.badExits > 0 ? [`exits after SIGTERM that were not 0: ${figures.badExits}`] : []),
  ];
}
