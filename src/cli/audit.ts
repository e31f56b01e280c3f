// Who did what; and who asks.
import type { Command } from 'commander';
import { brokerFor, globalsOf } from './broker.ts';
import { example } from './example.ts';
import type { Io } from './io.ts';
import { moment, wholeNumber } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  AT: (e) => e.at,
  ACTION: (e) => e.action,
  OUTCOME: (e) => e.outcome,
  ACTOR: (e) => e.actor,
  INTEGRATION: (e) => e.integration ?? '-',
  OWNER: (e) => e.owner ?? '-',
  CONNECTION: (e) => e.connection_id ?? '-',
  DETAIL: (e) => e.detail,
  COUNT: (e) => e.count,
};
const USUAL_LIMIT = 100;

interface Options {
  integration?: string;
  owner?: string;
  connection?: string;
  actor?: string;
  action?: string;
  outcome?: string;
  since?: string;
  until?: string;
  limit?: number;
  all?: boolean;
}

export function auditCommand(program: Command, io: Io): void {
  const audit = program
    .command('audit')
    .description('who did what to which connection, newest first')
    .option('--integration <id>')
    .option('--owner <owner>')
    .option('--connection <id>')
    .option('--actor <id>', "a caller's id; system; or browser, for owners")
    .option('--action <action>', 'such as connection.token_read')
    .option('--outcome <outcome>', 'ok, denied or failed')
    .option('--since <time>', 'a span like 1h or 7d, or a time like 2027-01-31T12:00:00Z')
    .option('--until <time>', 'as --since; not included')
    .option('--limit <count>', `at most so many; ${USUAL_LIMIT} unless given`, wholeNumber)
    .option('--all', 'all there are');
  example(audit, 'valetkey audit --outcome denied --since 1h').action(async (options: Options, command: Command) => {
    const { integration, owner, connection, actor, action, outcome, since, until, limit, all } = options;
    const query = {
      ...{ integration, owner, actor, action, outcome, connection_id: connection },
      from: since === undefined ? undefined : moment(since, io.now(), -1),
      to: until === undefined ? undefined : moment(until, io.now(), -1),
    };
    const most = limit ?? (all ? undefined : USUAL_LIMIT);
    await printer(io, globalsOf(command).json).list(COLUMNS, brokerFor(io, command).all('/v1/audit', query, most));
  });
}

export function whoamiCommand(program: Command, io: Io): void {
  const whoami = program.command('whoami').description('which caller the key is of, and what it may do');
  example(whoami, 'valetkey whoami').action(async (_, command: Command) => {
    await printer(io, globalsOf(command).json).one(await brokerFor(io, command).ask('GET', '/v1/whoami'));
  });
}
