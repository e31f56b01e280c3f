// `deliveries`: events on their way to webhook endpoints.
import type { Command } from 'commander';
import { brokerFor, globalsOf, part } from './broker.ts';
import { example } from './example.ts';
import type { Io } from './io.ts';
import { wholeNumber } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (d) => d.id,
  EVENT: (d) => d.event_id,
  ENDPOINT: (d) => d.endpoint_id,
  STATUS: (d) => d.status,
  ATTEMPTS: (d) => d.attempts,
  ERROR: (d) => d.last_error,
  'LAST ATTEMPT': (d) => d.last_attempt_at,
  'NEXT ATTEMPT': (d) => d.next_attempt_at,
};

interface ListOptions {
  endpoint?: string;
  event?: string;
  status?: string;
  limit: number;
}

const DEFAULT_LIMIT = 100;

export function deliveryCommands(program: Command, io: Io): void {
  const deliveries = program
    .command('deliveries')
    .description('events on their way to webhook endpoints: list, show, retry');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = deliveries
    .command('list')
    .description('list deliveries, newest first')
    .option('--endpoint <id>', 'only to this endpoint')
    .option('--event <id>', 'only of this event')
    .option('--status <status>', 'only with this status: pending, failing, delivered, dead')
    .option('--limit <number>', 'at most so many', wholeNumber, DEFAULT_LIMIT);
  example(list, 'valetkey deliveries list --status dead').action(async (options: ListOptions, command: Command) => {
    const { limit, endpoint, event, status } = options;
    const rows = brokerFor(io, command).all('/v1/deliveries', { endpoint, event, status }, limit);
    await print(command).list(COLUMNS, rows);
  });

  const show = deliveries
    .command('show')
    .argument('<id>')
    .description('show a delivery, with the beginning of the last response');
  example(show, 'valetkey deliveries show dlv_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('GET', `/v1/deliveries/${part(id)}`));
  });

  const retry = deliveries.command('retry').argument('<id>').description('attempt a delivery again, now');
  example(retry, 'valetkey deliveries retry dlv_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('POST', `/v1/deliveries/${part(id)}/retry`));
  });
}
