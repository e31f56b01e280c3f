// `webhook-endpoints`: where events are sent.
import type { Command } from 'commander';
import { brokerFor, globalsOf, part } from './broker.ts';
import { example } from './example.ts';
import { misused } from './failure.ts';
import type { Io } from './io.ts';
import { given, moment, readText, several } from './options.ts';
import { type Columns, printer } from './output.ts';
import { headersIn } from './webhook-headers.ts';

const COLUMNS: Columns = {
  ID: (e) => e.id,
  URL: (e) => e.url,
  TYPES: (e) => e.types ?? '*',
  ENABLED: (e) => (e.enabled ? 'yes' : e.disabled_reason),
  'FAILING SINCE': (e) => e.failing_since,
};

interface Settings {
  url?: string;
  type?: string[];
  integration?: string[];
  owner?: string[];
  ordered?: boolean;
  headersFile?: string;
  description?: string;
}

const settingsOf = ({ url, type, integration, owner, ordered, headersFile, description }: Settings) =>
  given({
    url,
    types: type,
    integrations: integration,
    owners: owner,
    ordered,
    headers: headersFile && headersIn(readText(headersFile)),
    description,
  });

const settingsOptions = (command: Command): Command =>
  command
    .option('--type <type>', 'only events of this type, such as connection.needs_reauth; repeatable', several)
    .option('--integration <pattern>', 'only events of this integration: an id, or a prefix*; repeatable', several)
    .option('--owner <pattern>', 'only events of this owner: an id, or a prefix*; repeatable', several)
    .option('--headers-file <file>', 'a file with headers to send, a line each: Name: value')
    .option('--description <text>', 'what it is for')
    .option('--ordered', 'hold the later events of a connection until the earlier one is delivered');

export function webhookEndpointCommands(program: Command, io: Io): void {
  const endpoints = program
    .command('webhook-endpoints')
    .description('where events are sent: list, show, create, update, delete, rotate-secret, test, replay');
  const print = (command: Command) => printer(io, globalsOf(command).json);
  const at = (id: string) => `/v1/webhook-endpoints/${part(id)}`;

  const list = endpoints.command('list').description('list the webhook endpoints of the caller; of admins, all');
  example(list, 'valetkey webhook-endpoints list').action(async (_, command: Command) => {
    await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/webhook-endpoints'));
  });

  const show = endpoints.command('show').argument('<id>').description('show a webhook endpoint, without its secrets');
  example(show, 'valetkey webhook-endpoints show whe_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('GET', at(id)));
  });

  const create = settingsOptions(
    endpoints
      .command('create')
      .argument('<url>', 'where events are sent')
      .description('create a webhook endpoint; prints its id and its secret, which is never shown again'),
  );
  example(
    create,
    'valetkey webhook-endpoints create https://app.example.com/events --type connection.needs_reauth',
  ).action(async (url: string, options: Settings, command: Command) => {
    const made = await brokerFor(io, command).ask('POST', '/v1/webhook-endpoints', settingsOf({ ...options, url }));
    print(command).answer(made, [String(made.id), String(made.secret)]);
  });

  const update = settingsOptions(
    endpoints
      .command('update')
      .argument('<id>')
      .description('update a webhook endpoint; what is not given stays')
      .option('--url <url>', 'where events are sent'),
  )
    .option('--no-ordered', 'send the events of a connection in any order')
    .option('--enable', 'start it again; what is due by then is sent')
    .option('--disable', 'send nothing until it is enabled');
  example(update, 'valetkey webhook-endpoints update whe_01k… --enable').action(
    async (id: string, options: Settings & { enable?: true; disable?: true }, command: Command) => {
      const { enable, disable } = options;
      if (enable && disable) throw misused('give --enable or --disable, not both');
      const change = { ...settingsOf(options), ...given({ enabled: enable ?? (disable && false) }) };
      if (Object.keys(change).length === 0) throw misused('webhook-endpoints update needs something to change');
      await print(command).one(await brokerFor(io, command).ask('PATCH', at(id), change));
    },
  );

  const remove = endpoints
    .command('delete')
    .argument('<id>')
    .description('delete a webhook endpoint and its deliveries');
  example(remove, 'valetkey webhook-endpoints delete whe_01k…').action(async (id: string, _, command: Command) => {
    await brokerFor(io, command).ask('DELETE', at(id));
    print(command).answer({ id, deleted: true }, 'deleted');
  });

  const rotate = endpoints
    .command('rotate-secret')
    .argument('<id>')
    .description('print a new secret, which is never shown again; for a day, the old one signs as well');
  example(rotate, 'valetkey webhook-endpoints rotate-secret whe_01k…').action(
    async (id: string, _, command: Command) => {
      const made = await brokerFor(io, command).ask('POST', `${at(id)}/rotate-secret`);
      print(command).answer(made, String(made.secret));
    },
  );

  const test = endpoints.command('test').argument('<id>').description('send the event test.ping to it; prints its id');
  example(test, 'valetkey webhook-endpoints test whe_01k…').action(async (id: string, _, command: Command) => {
    const made = await brokerFor(io, command).ask('POST', `${at(id)}/test`);
    print(command).answer(made, String(made.event_id));
  });

  const replay = endpoints
    .command('replay')
    .argument('<id>')
    .description('send the events of a time range again; prints how many')
    .requiredOption('--from <time>', 'since: a duration before now such as 24h, or a time')
    .option('--to <time>', 'until: a duration before now, or a time; default now')
    .option(
      '--status <status>',
      'only deliveries with this status: pending, failing, delivered, dead; default all that were not delivered',
    );
  example(replay, 'valetkey webhook-endpoints replay whe_01k… --from 24h --status dead').action(
    async (id: string, { from, to, status }: { from: string; to?: string; status?: string }, command: Command) => {
      const range = { from: moment(from, io.now(), -1), ...given({ to: to && moment(to, io.now(), -1), status }) };
      const made = await brokerFor(io, command).ask('POST', `${at(id)}/replay`, range);
      print(command).answer(made, String(made.deliveries));
    },
  );
}
