// The report of a simulation: figures, and the same as a section of a page.
import type { DatabaseWork, TableSize } from './database-work.ts';
import type { Minute, Observations } from './observations.ts';
import type { Options } from './options.ts';
import type { Fault } from './token-endpoint.ts';

export interface Simulated {
  connections: number;
  integrations: number;
  seed: number;
  store: Options['store'];
  /** Of each integration. */
  perSecond: number;
  faults: readonly Fault[];
  /** Virtual time that passed, and that was to pass. */
  passedMs: number;
  wantedMs: number;
  observed: Observations;
  work: DatabaseWork;
  /** Processor time of the process: the broker, and SQLite with it. */
  brokerSeconds: number;
  realSeconds: number;
  seededSeconds: number;
}

export interface Lateness {
  refreshes: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export interface Summary
  extends Pick<
    Simulated,
    | 'connections'
    | 'integrations'
    | 'seed'
    | 'store'
    | 'perSecond'
    | 'passedMs'
    | 'wantedMs'
    | 'realSeconds'
    | 'seededSeconds'
  > {
  refreshes: number;
  requests: number;
  failed: number;
  expired: Observations['expired'];
  /** Before the first fault, and in all. */
  lateness: { calm: Lateness; all: Lateness };
  /** `goneAfterMs`: from the end of the outage until no more is waiting than becomes due in 5 s; null: not within the run. */
  outage: { from: number; until: number; backlog: number; goneAfterMs: number | null } | null;
  /** Requests of an integration after the outage, against its rate: in the busiest second, and in the busiest ten. */
  stampede: { second: number; tenSeconds: number } | null;
  work: DatabaseWork;
  brokerSeconds: number;
  minutes: Minute[];
}

export function summaryOf(simulated: Simulated): Summary {
  const { observed, faults, passedMs, perSecond, ...same } = simulated;
  const { minutes, lateness, committedAt } = observed;
  const firstFault = Math.min(...faults.map(({ from }) => from));
  const outage = faults.find(({ kind, from }) => kind === 'down' && from < passedMs);
  const sum = (of: (minute: Minute) => number) => minutes.reduce((total, minute) => total + of(minute), 0);
  return {
    ...{ ...same, perSecond, passedMs, minutes },
    refreshes: lateness.length,
    requests: sum(({ requests }) => requests),
    failed: sum(({ failed }) => failed),
    expired: observed.expired,
    lateness: { calm: latenessOf(lateness.filter((_, i) => committedAt[i]! < firstFault)), all: latenessOf(lateness) },
    outage: outage && outage.until < passedMs ? backlogOf(outage, simulated) : null,
    stampede: outage && outage.until < passedMs ? stampedeOf(outage.until, observed, perSecond) : null,
  };
}

function latenessOf(values: Float64Array): Lateness {
  const sorted = values.slice().sort();
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { refreshes: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

function backlogOf({ from, until }: Fault, { observed: { backlog, minutes } }: Simulated): Summary['outage'] {
  const end = Math.floor(until / 1_000);
  const calm = minutes.reduce((total, { due }) => total + due, 0) / (minutes.length * 60);
  const gone = backlog.findIndex((waiting, second) => second >= end && waiting <= Math.max(5, 5 * calm));
  return { from, until, backlog: backlog[end - 1] ?? 0, goneAfterMs: gone < 0 ? null : gone * 1_000 - until };
}

function stampedeOf(until: number, { requests }: Observations, perSecond: number): Summary['stampede'] {
  let [second, tenSeconds] = [0, 0];
  for (const counts of requests.values())
    for (let at = Math.floor(until / 1_000), last = 0; at < counts.length; at++) {
      last += counts[at]! - (at - 10 >= until / 1_000 ? counts[at - 10]! : 0);
      second = Math.max(second, counts[at]! / perSecond);
      tenSeconds = Math.max(tenSeconds, last / (10 * perSecond));
    }
  return { second, tenSeconds };
}

const MINUTE = 60_000;
const ROWS = 20;
const TABLES = 5;

/** As Markdown. */
export function pageOf(summary: Summary): string {
  const { connections, integrations, store, perSecond, lateness, outage, stampede, work, refreshes } = summary;
  const { expired, brokerSeconds } = summary;
  const each = (total: number, digits = 1) => (total / Math.max(1, refreshes)).toFixed(digits);
  const late = ({ p50Ms, p99Ms, maxMs }: Lateness) =>
    `p50 ${duration(p50Ms)}, p99 ${duration(p99Ms)}, at most ${duration(maxMs)}`;
  const rows: [string, string][] = [
    [
      'run',
      `${whole(connections)} connections of ${integrations} integrations on ${store === 'sqlite' ? 'SQLite' : 'PostgreSQL'}, ${duration(summary.passedMs)} of virtual time in ${duration(summary.realSeconds * 1_000)} (${duration(summary.seededSeconds * 1_000)} of them to store the connections), seed ${summary.seed}`,
    ],
    ['rate allowed', `${whole(perSecond)} a second for each integration`],
    ['refreshes', `${whole(refreshes)}; ${whole(summary.requests)} requests, of which ${whole(summary.failed)} failed`],
    ['late, before the first fault', late(lateness.calm)],
    ['late, in all', late(lateness.all)],
    [
      'tokens that expired unrefreshed',
      expired.connections === 0 ? '0' : `${whole(expired.connections)}, for ${duration(expired.longestMs)} at most`,
    ],
    [
      'backlog when the outage ended',
      outage === null
        ? 'the outage did not end within the run'
        : `${whole(outage.backlog)}; gone after ${outage.goneAfterMs === null ? 'the end of the run' : duration(outage.goneAfterMs)}`,
    ],
    [
      'stampede',
      stampede === null
        ? 'the outage did not end within the run'
        : `${stampede.second.toFixed(2)} × the allowed rate in the busiest second after the outage, ${stampede.tenSeconds.toFixed(2)} × in the busiest ten`,
    ],
    [
      'processor time for a refresh',
      `${each(brokerSeconds * 1e6, 0)} µs of the broker${work.serverSeconds === undefined ? ', SQLite included' : ` and ${each(work.serverSeconds * 1e6, 0)} µs of the database`}`,
    ],
    [
      'database work for a refresh',
      `${each(work.statements)} statements, ${each(work.commits, 2)} commits, ${each(work.logBytes, 0)} bytes of log`,
    ],
    [
      'database at the end',
      `${(work.bytes / 1e6).toFixed(0)} MB, ${whole(work.bytes / connections)} bytes for each connection`,
    ],
  ];
  return `| | |
|---|---|
${rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}

${curveOf(summary.minutes)}

${sizesOf(work.tables, connections)}
`;
}

function sizesOf(tables: readonly TableSize[], connections: number): string {
  const rows = tables.slice(0, TABLES).map(({ table, rowBytes, indexBytes }) => {
    const cells = [`\`${table}\``, whole(rowBytes / connections), whole(indexBytes / connections)];
    return `| ${cells.join(' | ')} |`;
  });
  return `| table | bytes of rows for each connection | of its indexes |
|---|---|---|
${rows.join('\n')}`;
}

function curveOf(minutes: readonly Minute[]): string {
  const every = Math.max(1, Math.ceil(minutes.length / ROWS));
  const rows: string[] = [];
  for (let from = 0; from < minutes.length; from += every) {
    const some = minutes.slice(from, from + every);
    const sum = (of: (minute: Minute) => number) => whole(some.reduce((total, minute) => total + of(minute), 0));
    const latest = Math.max(...some.map((minute) => minute.latest));
    const cells = [
      every === 1 ? `${from}` : `${from}–${from + some.length}`,
      ...[sum(({ due }) => due), sum(({ refreshed }) => refreshed), sum(({ failed }) => failed)],
      ...[sum(({ openSeconds }) => openSeconds), whole(some.at(-1)!.backlog), duration(latest)],
    ];
    rows.push(`| ${cells.join(' | ')} |`);
  }
  return `| minutes | due | refreshed | requests that failed | seconds of open circuits | waiting at the end | latest refresh |
|---|---|---|---|---|---|---|
${rows.join('\n')}`;
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');

function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 2 * MINUTE) return `${(ms / 1_000).toFixed(1)} s`;
  return `${(ms / MINUTE).toFixed(1)} min`;
}
