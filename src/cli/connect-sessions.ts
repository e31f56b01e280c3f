// `connect-sessions`: list, cancel.
import type { Command } from 'commander';
import { brokerFor, globalsOf, part } from './broker.ts';
import { example } from './example.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (s) => s.id,
  INTEGRATION: (s) => s.integration ?? '-',
  OWNER: (s) => s.owner,
  LABEL: (s) => s.label ?? '-',
  STATUS: (s) => s.status,
  ERROR: (s) => s.error ?? null,
  EXPIRES: (s) => s.expires_at,
};

export function connectSessionCommands(program: Command, io: Io): void {
  const sessions = program.command('connect-sessions').description('manage connect sessions: list, cancel');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = sessions
    .command('list')
    .description('list the connect sessions of the last day that the caller may see')
    .option('--integration <id>', 'only of this integration')
    .option('--owner <owner>', 'only of this owner')
    .option('--status <status>', 'only with this status: pending, awaiting_finish, completed, …');
  example(list, 'valetkey connect-sessions list --owner user_42 --status pending').action(
    async (options: Record<string, string | undefined>, command: Command) => {
      const { integration, owner, status } = options;
      const filter = { integration, owner, status };
      await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/connect-sessions', filter));
    },
  );

  const cancel = sessions
    .command('cancel')
    .argument('<id>')
    .description('cancel a connect session: its link stops working, and what waits for its finish is revoked');
  example(cancel, 'valetkey connect-sessions cancel cs_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('DELETE', `/v1/connect-sessions/${part(id)}`));
  });
}
