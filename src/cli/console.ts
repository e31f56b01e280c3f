// `console`: who uses the browser console.
import { type Command, Option } from 'commander';
import { brokerFor, globalsOf, part } from './broker.ts';
import { example } from './example.ts';
import type { Io } from './io.ts';
import { given } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (s) => s.id,
  USER: (s) => s.name ?? s.subject,
  ROLE: (s) => s.role,
  ADDRESS: (s) => s.address,
  OPENED: (s) => s.opened_at ?? 'not yet',
  'LAST SEEN': (s) => s.last_seen_at,
  EXPIRES: (s) => s.expires_at,
};

export function consoleCommands(program: Command, io: Io): void {
  const root = program.command('console').description('the browser console: link, sessions, end-session');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const link = root
    .command('link')
    .description('print a link that signs in to the console, once, within ten minutes')
    .addOption(new Option('--role <role>', 'what it lets do; default admin').choices(['viewer', 'operator', 'admin']));
  example(link, 'valetkey console link').action(async ({ role }: { role?: string }, command: Command) => {
    const made = await brokerFor(io, command).ask('POST', '/v1/console-links', given({ role }));
    print(command).answer(made, String(made.url));
  });

  const sessions = root.command('sessions').description('list who is signed in to the console');
  example(sessions, 'valetkey console sessions').action(async (_, command: Command) => {
    await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/console-sessions'));
  });

  const end = root.command('end-session').argument('<id>').description('sign someone out of the console');
  example(end, 'valetkey console end-session cse_01k…').action(async (id: string, _, command: Command) => {
    await brokerFor(io, command).ask('DELETE', `/v1/console-sessions/${part(id)}`);
    print(command).answer({ ended: true }, 'ended');
  });
}
