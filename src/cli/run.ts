// The tree of commands, and how a run of one ends.
import { Command, CommanderError } from 'commander';
import { applyCommand } from './apply.ts';
import { auditCommand, whoamiCommand } from './audit.ts';
import { callerCommands } from './callers.ts';
import { completionCommand } from './completion.ts';
import { connectCommand } from './connect.ts';
import { connectionCommands } from './connections.ts';
import { EXIT, EXIT_CODES, Failure } from './failure.ts';
import { integrationCommands } from './integrations.ts';
import type { Io } from './io.ts';
import { localCommands } from './local.ts';
import { providerCommands } from './providers.ts';
import { tokenCommand } from './token.ts';

export const ENVIRONMENT = `Environment:
  VALETKEY_URL        where the broker is; http://127.0.0.1:8080 unless set
  VALETKEY_KEY        a caller key to ask it with (or VALETKEY_ADMIN_KEY); never an argument, which others can see
  VALETKEY_…          what serve, migrate and keys rotate are configured by
  NO_COLOR            no colours`;

/** Runs the command of these arguments; tells the code to end with. What is thrown is a defect. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const program = commandTree(io);
  try {
    await program.parseAsync(asked(argv), { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
    if (!(error instanceof Failure)) throw error;
    const { message, problem, code } = error;
    if (problem && program.opts<{ json?: boolean }>().json) io.note(JSON.stringify(problem));
    else if (message !== '') io.note(message);
    return code;
  }
}

/** Nothing, and `help connect`, ask for help. */
function asked([first, ...rest]: readonly string[]): string[] {
  if (first === undefined) return ['--help'];
  return first === 'help' ? [...rest, '--help'] : [first, ...rest];
}

export function commandTree(io: Io): Command {
  const program = new Command('valetkey')
    .usage('<command> [options]')
    .description('A token broker: runs one, and speaks with one that runs.')
    .option('--json', 'answer in JSON; lists as JSON Lines, refusals as the problem on stderr')
    .option('--url <url>', 'where the broker is, instead of VALETKEY_URL')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text.trimEnd()), writeErr: (text) => io.note(text.trimEnd()) })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(add --help for how it goes)')
    .addHelpText('after', `\n${ENVIRONMENT}\n\n${EXIT_CODES}\n\nvaletkey <command> --help shows an example of each.`);

  program.commandsGroup('With a running broker:');
  connectCommand(program, io);
  tokenCommand(program, io);
  connectionCommands(program, io);
  callerCommands(program, io);
  integrationCommands(program, io);
  applyCommand(program, io);
  auditCommand(program, io);
  whoamiCommand(program, io);
  program.commandsGroup('On this machine:');
  localCommands(program, io);
  providerCommands(program, io);
  completionCommand(program, io);
  return program;
}
