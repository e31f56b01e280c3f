// `webhooks`: list, show, process, handshake.
import type { Command } from 'commander';
import { brokerFor, globalsOf, listOf, part } from './broker.ts';
import { example } from './example.ts';
import type { Io } from './io.ts';
import { wholeNumber } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (w) => w.id,
  RECEIVED: (w) => w.received_at,
  INTEGRATION: (w) => w.integration,
  STATUS: (w) => w.status,
  REASON: (w) => w.reason,
  TYPE: (w) => listOf(w, 'events')[0]?.provider_event_type ?? '-',
  EVENTS: (w) => listOf(w, 'events').length,
  SIZE: (w) => w.size,
};
const DEFAULT_LIMIT = 100;

interface Options {
  integration?: string;
  status?: string;
  connection?: string;
  limit?: number;
  all?: boolean;
}

export function webhookCommands(program: Command, io: Io): void {
  const webhooks = program
    .command('webhooks')
    .description('look at webhooks that providers have sent: list, show, process, handshake');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = webhooks
    .command('list')
    .description('list received webhooks, newest first')
    .option('--integration <id>', 'only of this integration')
    .option('--status <status>', 'only with this status: received, located, unmatched, refused or dead')
    .option('--connection <id>', 'only about this connection')
    .option('--limit <count>', `maximum number of webhooks; default ${DEFAULT_LIMIT}`, wholeNumber)
    .option('--all', 'no limit');
  example(list, 'valetkey webhooks list --integration acme --status unmatched').action(
    async ({ integration, status, connection, limit, all }: Options, command: Command) => {
      const most = limit ?? (all ? undefined : DEFAULT_LIMIT);
      const query = { integration, status, connection };
      await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/webhooks', query, most));
    },
  );

  const show = webhooks.command('show').argument('<id>').description('show a received webhook, with its body');
  example(show, 'valetkey webhooks show whr_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('GET', `/v1/webhooks/${part(id)}`));
  });

  const process = webhooks
    .command('process')
    .argument('<id>')
    .description('process a received webhook again: look for its connections, and act on it');
  example(process, 'valetkey webhooks process whr_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('POST', `/v1/webhooks/${part(id)}/process`));
  });

  const handshake = webhooks
    .command('handshake')
    .argument('<integration>')
    .description('for some minutes, take the key that a handshake of the provider brings, once')
    .option('--minutes <count>', 'how long; default 10, 0: no longer', wholeNumber);
  example(handshake, 'valetkey webhooks handshake acme --minutes 5').action(
    async (integration: string, { minutes = 10 }: { minutes?: number }, command: Command) => {
      const path = `/v1/integrations/${part(integration)}/webhook-handshake`;
      await print(command).one(await brokerFor(io, command).ask('POST', path, { minutes }));
    },
  );
}
