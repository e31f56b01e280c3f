// `events`: the event feed.
import { type Command, InvalidArgumentError } from 'commander';
import { type Broker, brokerFor, globalsOf, type Json, objectOf, part, queryOf } from './broker.ts';
import { example } from './example.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { wholeNumber } from './options.ts';
import { type Columns, printer } from './output.ts';

const dataOf = (event: Json): Json => objectOf(event, 'data');
const connectionOf = (event: Json): Json => (dataOf(event).connection ?? {}) as Json;
const integrationOf = (event: Json): unknown => {
  const { integration } = dataOf(event);
  return typeof integration === 'object' ? (integration as Json | null)?.id : integration;
};

const COLUMNS: Columns = {
  TIMESTAMP: (e) => e.timestamp,
  TYPE: (e) => e.type,
  INTEGRATION: (e) => connectionOf(e).integration ?? integrationOf(e) ?? '-',
  OWNER: (e) => connectionOf(e).owner ?? '-',
  CONNECTION: (e) => connectionOf(e).id ?? '-',
  REASON: (e) => dataOf(e).reason ?? dataOf(e).error ?? '-',
  ID: (e) => e.id,
};

const DEFAULT_LIMIT = 100;
const MAX_PAGE_SIZE = 500;
const WAIT_SECONDS = 25;
/** Between two questions, if the broker does not wait, or cannot answer now. */
const PAUSE_MS = 1_000;
/** A `Retry-After` is obeyed up to this: a gateway may tell more than it knows. */
const RETRY_AFTER_MAX_MS = 5 * 60_000;

interface Options {
  type?: string[];
  after?: string;
  limit?: number;
  follow?: boolean;
  all?: boolean;
}

const collected = (type: string, before: string[] = []): string[] => {
  if (!/^[a-z0-9_.]+$/.test(type)) throw new InvalidArgumentError('It is a type such as connection.revoked.');
  return [...before, type];
};

export function eventsCommand(program: Command, io: Io): void {
  const events = program
    .command('events')
    .description('list events, oldest first, as far as the grants of the key cover them')
    .option('--type <type>', 'only of this type, such as connection.needs_reauth; repeatable', collected)
    .option('--after <cursor>', 'after this next_cursor of the API')
    .option('--follow', 'wait for new events and print them as they come; without --after, only those')
    .option('--limit <count>', `maximum number of events; default ${DEFAULT_LIMIT}, or none with --follow`, wholeNumber)
    .option('--all', 'no limit');
  example(
    events,
    'valetkey events --follow',
    'valetkey events --type connection.needs_reauth --type connection.revoked --all',
  ).action(async (options: Options, command: Command) => {
    const { follow = false, all = false } = options;
    const limit = options.limit ?? (follow || all ? Number.POSITIVE_INFINITY : DEFAULT_LIMIT);
    const { json } = globalsOf(command);
    const rows = feed(io, brokerFor(io, command), { ...options, follow }, limit);
    if (!follow) return printer(io, json).list(COLUMNS, rows);
    // A table would wait for the last row.
    for await (const row of rows) await printer({ ...io, outIsTty: false }, json).list(COLUMNS, [row]);
  });
  const show = events.command('show').description('show an event').argument('<id>', 'the id of the event: msg_…');
  example(show, 'valetkey events show msg_01k9d3q1v6d2f4g6h8j0k1l3mn').action(
    async (id: string, _, command: Command) => {
      await printer(io, globalsOf(command).json).one(await brokerFor(io, command).ask('GET', `/v1/events/${part(id)}`));
    },
  );
}

async function* feed(
  io: Io,
  broker: Broker,
  { type, after: given, follow }: Options,
  limit: number,
): AsyncGenerator<Json, void> {
  let after = given ?? (follow ? 'now' : undefined);
  for (let left = limit; left > 0; ) {
    const asked = io.now();
    const query = queryOf({
      after,
      types: type?.join(','),
      limit: String(Math.min(left, MAX_PAGE_SIZE)),
      wait: follow ? String(WAIT_SECONDS) : undefined,
    });
    let retryAfterMs = 0;
    const answer = await broker.page(`/v1/events?${query}`).catch((error: unknown) => {
      if (!follow || !(error instanceof Failure && error.isTransient)) throw error;
      retryAfterMs = Math.min((error.retryAfter ?? 0) * 1_000, RETRY_AFTER_MAX_MS);
    });
    const data = answer?.data ?? [];
    yield* data;
    left -= data.length;
    const isEnd = answer && answer.next_cursor === after;
    if (answer?.next_cursor === null) return;
    if (answer) after = answer.next_cursor;
    if (!follow && data.length === 0 && isEnd) return;
    const pauseMs = io.now() - asked < PAUSE_MS ? Math.max(PAUSE_MS, retryAfterMs) : retryAfterMs;
    if (follow && data.length === 0 && pauseMs > 0) await io.pause(pauseMs, new AbortController().signal);
  }
}
