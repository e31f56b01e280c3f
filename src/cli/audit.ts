// `audit` and `whoami`.
import { type Command, InvalidArgumentError } from 'commander';
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
  AGENT: (e) => (e.agent as { id: string } | null)?.id ?? null,
  DETAIL: (e) => e.detail,
  COUNT: (e) => e.count,
};
const DEFAULT_LIMIT = 100;

interface Options {
  integration?: string;
  owner?: string;
  connection?: string;
  actor?: string;
  action?: string;
  outcome?: string;
  session?: string;
  since?: string;
  until?: string;
  limit?: number;
  all?: boolean;
}

export function auditCommand(program: Command, io: Io): void {
  const audit = program
    .command('audit')
    .description('list audit entries, newest first')
    .option('--integration <id>', 'only of this integration')
    .option('--owner <owner>', 'only of this owner')
    .option('--connection <id>', 'only of this connection')
    .option('--actor <id>', 'only of this actor: a caller id, system, or browser (an owner)')
    .option('--action <action>', 'only this action, such as token.read')
    .option('--outcome <outcome>', 'only this outcome: ok, denied or failed')
    .option('--session <id>', 'only of this agent session')
    .option('--since <time>', 'from this time: a duration such as 1h or 7d, or a time such as 2027-01-31T12:00:00Z')
    .option('--until <time>', 'before this time, in the same format')
    .option('--limit <count>', `maximum number of entries; default ${DEFAULT_LIMIT}`, wholeNumber)
    .option('--all', 'no limit');
  example(
    audit,
    'valetkey audit --outcome denied --since 1h',
    'valetkey audit --action token.read --owner user_42',
  ).action(async (options: Options, command: Command) => {
    const { integration, owner, connection, actor, action, outcome, session, since, until, limit, all } = options;
    const query = {
      ...{ integration, owner, actor, action, outcome, session, connection_id: connection },
      from: since === undefined ? undefined : moment(since, io.now(), -1),
      to: until === undefined ? undefined : moment(until, io.now(), -1),
    };
    const most = limit ?? (all ? undefined : DEFAULT_LIMIT);
    await printer(io, globalsOf(command).json).list(COLUMNS, brokerFor(io, command).all('/v1/audit', query, most));
  });
  verifyCommand(audit);
}

/** `12:<hash>`, as a verification prints it. */
function headOf(text: string): { id: string; hash: string } {
  const [, number, hash] = /^(\d{1,16}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (number === undefined || hash === undefined)
    throw new InvalidArgumentError('It is a number, a colon and 64 hexadecimal digits, as a verification prints it.');
  return { id: number.padStart(16, '0'), hash };
}

function verifyCommand(audit: Command): void {
  const verify = audit
    .command('verify')
    .description('verify the hash chain over the audit log, in the database; exit code 1 if it is broken')
    .option('--head <number:hash>', 'the head that an earlier verification printed: it must be in the chain', headOf);
  example(verify, 'VALETKEY_KEYS=$KEYS VALETKEY_DATABASE_URL=file:./data/valetkey.db valetkey audit verify').action(
    async ({ head }: { head?: { id: string; hash: string } }, command: Command) => {
      const commands = await import('../runtime/commands.ts');
      await commands.verifyAuditLog({ json: globalsOf(command).json ?? false, expected: head });
    },
  );
}

export function whoamiCommand(program: Command, io: Io): void {
  const whoami = program.command('whoami').description('show the caller of the key, and what it may do');
  example(whoami, 'valetkey whoami').action(async (_, command: Command) => {
    await printer(io, globalsOf(command).json).one(await brokerFor(io, command).ask('GET', '/v1/whoami'));
  });
}
