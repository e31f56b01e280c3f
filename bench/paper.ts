// The load of a million connections, on a replica and on the database, by arithmetic from measured figures.
import type { Result } from './harness.ts';

const CONNECTIONS = 1_000_000;
const LIFE_S = 3_600;
/** A token is refreshed five minutes before its end. */
const EVERY_S = LIFE_S - 300;
/** A refresh alone: a rate-limit token, the claim with the intent, the response. Under load, tokens are taken for many. */
const COMMITS = 3;
/** Connection, credentials, lease, and their indexes; as measured with tokens of 1,000 characters. */
const BYTES_EACH = 2_900;
const AUDIT_BYTES = 420;
const DAY_S = 86_400;

export function paperOf(figures: Result[]): string {
  const figure = (name: string) => figures.find((one) => one.name === name);
  const { brokerMicros = 0, databaseMicros = 0, journalBytes = 0, oneReplica = 0 } = figure('refresh-3')?.facts ?? {};
  const { coldPerSecond = 0, coldDatabaseMicros = 0 } = figure('cold-postgres')?.facts ?? {};
  const warm = figure('warm')?.ours ?? 0;
  const refreshes = CONNECTIONS / EVERY_S;
  const share = (micros: number, perSecond = refreshes) => `${((micros * perSecond) / 1e4).toFixed(0)} %`;
  const rows: [string, string][] = [
    ['refreshes', `${whole(refreshes)} a second, each ${EVERY_S / 60} minutes after the last`],
    [
      'processor of the replicas',
      `${share(brokerMicros)} of one core for all of them (${whole(brokerMicros)} µs each)`,
    ],
    [
      'one replica',
      `${whole(oneReplica)} refreshes a second of one integration whose provider takes 200 ms, with 32 in flight: ${((oneReplica * EVERY_S) / 1e6).toFixed(2)} million of its connections; with more in flight (\`VALETKEY_REFRESH_CONCURRENCY\`), or more integrations, as many as its processor allows`,
    ],
    ['processor of the database', `${share(databaseMicros)} of one core (${whole(databaseMicros)} µs each)`],
    ['commits', `${whole(refreshes * 2)} to ${whole(refreshes * COMMITS)} a second`],
    [
      'write-ahead log',
      `${((refreshes * journalBytes) / 1e6).toFixed(1)} MB a second, ${whole((refreshes * journalBytes * DAY_S) / 1e9)} GB a day`,
    ],
    [
      'audit log',
      `${((refreshes * DAY_S) / 1e6).toFixed(0)} million entries a day, ${((refreshes * DAY_S * AUDIT_BYTES) / 1e9).toFixed(0)} GB with \`VALETKEY_AUDIT_REFRESHES=all\`, and next to none without`,
    ],
    ['tables', `${((CONNECTIONS * BYTES_EACH) / 1e9).toFixed(1)} GB without the audit log`],
    [
      'reads',
      `${whole(warm)} per second and replica from memory; what is not cached (a replica caches 50,000 tokens for ten minutes) ${whole(coldPerSecond)} per second and replica, at ${whole(coldDatabaseMicros)} µs of the database`,
    ],
    [
      'each connection read once a minute',
      `${whole(CONNECTIONS / 60)} reads a second, nearly all of them from the database: ${Math.ceil(CONNECTIONS / 60 / coldPerSecond)} replicas, and ${share(coldDatabaseMicros, CONNECTIONS / 60)} of one of its cores`,
    ],
  ];
  return `## A million connections, on paper

Tokens of one hour, PostgreSQL. Computed from the figures of this run, not measured; the provider and the network are not included.

| | |
| --- | --- |
${rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}`;
}

const whole = (value: number): string => (value >= 10 ? Math.round(value).toLocaleString('en') : value.toFixed(1));
