// The command tree, and the exit code of a run.
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { visibleJson, visibleText } from '../domain/visible-text.ts';
import { applyCommand } from './apply.ts';
import { auditCommand, whoamiCommand } from './audit.ts';
import { callCommand } from './call.ts';
import { callerCommands } from './callers.ts';
import { completionCommand } from './completion.ts';
import { connectCommand } from './connect.ts';
import { connectSessionCommands } from './connect-sessions.ts';
import { connectionCommands } from './connections.ts';
import { consoleCommands } from './console.ts';
import { deliveryCommands } from './deliveries.ts';
import { eventsCommand } from './events.ts';
import { EXIT_CODES, Failure, misconfigured, misused, problemOf } from './failure.ts';
import { integrationCommands } from './integrations.ts';
import type { Io } from './io.ts';
import { jobCommands } from './jobs.ts';
import { localCommands } from './local.ts';
import { portalCommand } from './portal.ts';
import { providerCommands } from './providers.ts';
import { sessionCommands } from './sessions.ts';
import { signalCommands } from './signals.ts';
import { statusCommand } from './status.ts';
import { tokenCommand } from './token.ts';
import { webhookEndpointCommands } from './webhook-endpoints.ts';
import { webhookCommands } from './webhooks.ts';

export const ENVIRONMENT = `Environment:
  VALETKEY_URL        URL of the broker; default http://127.0.0.1:8080
  VALETKEY_KEY        the caller key (or VALETKEY_ADMIN_KEY); never an argument, which other users can see
  VALETKEY_KEY_FILE   a file with the caller key (or VALETKEY_ADMIN_KEY_FILE)
  VALETKEY_…          configuration of serve, migrate and keys rotate
  NO_COLOR            disables colors`;

/** Runs a command and returns its exit code. Whatever it throws is a defect. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const program = commandTree(io);
  try {
    if (argv[0] === '--version' || argv[0] === 'version') await printVersion(io);
    else await program.parseAsync(withHelp(argv), { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = await failureOf(error);
    if (failure === undefined) throw error;
    const { message, code } = failure;
    if (message === '') return code;
    if (isJson(program)) io.note(visibleJson(JSON.stringify(problemOf(failure))));
    // Commander has printed its own.
    else if (!(error instanceof CommanderError)) io.note(message.split('\n').map(visibleText).join('\n'));
    return code;
  }
}

/** Undefined: a defect. */
async function failureOf(error: unknown): Promise<Failure | undefined> {
  if (error instanceof Failure) return error;
  if (error instanceof CommanderError) return misused(reasonOf(error));
  const { SetupError } = await import('../runtime/setup-error.ts');
  return error instanceof SetupError ? misconfigured(error) : undefined;
}

const isJson = (program: Command): boolean => program.opts<{ json?: boolean }>().json === true;

/** Without a subcommand, commander shows the help, and says nothing. */
const reasonOf = ({ code, message }: CommanderError): string =>
  code === 'commander.help' ? 'a command is missing; use --help for usage' : message.replace(/^error: /, '');

/** Of this installation, which may be another one than that of the broker: `valetkey status` tells that. */
async function printVersion(io: Io): Promise<void> {
  const { packageFile } = await import('../package-files.ts');
  const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
  io.out(version);
}

/** No arguments mean `--help`; `help connect` means `connect --help`. */
function withHelp([first, ...rest]: readonly string[]): string[] {
  if (first === undefined) return ['--help'];
  return first === 'help' ? [...rest, '--help'] : [first, ...rest];
}

export function commandTree(io: Io): Command {
  const program = new Command('valetkey')
    .usage('<command> [options]')
    .description('Valetkey, a token broker: run one, or manage a running one.')
    .option('--json', 'print JSON: lists as JSON Lines, errors as problems on stderr')
    .option('--url <url>', 'URL of the broker; overrides VALETKEY_URL')
    .option('--allow-http', 'send the key over plain http to another host, unencrypted')
    .option('--version', 'print the version')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: (text) => {
        if (!isJson(program)) io.note(text.trimEnd());
      },
    })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(use --help for usage)')
    .addHelpText('after', `\n${ENVIRONMENT}\n\n${EXIT_CODES}\n\nEach command has examples: valetkey <command> --help`);

  program.commandsGroup('Commands for a running broker:');
  connectCommand(program, io);
  connectSessionCommands(program, io);
  portalCommand(program, io);
  sessionCommands(program, io);
  tokenCommand(program, io);
  callCommand(program, io);
  connectionCommands(program, io);
  callerCommands(program, io);
  integrationCommands(program, io);
  webhookEndpointCommands(program, io);
  consoleCommands(program, io);
  deliveryCommands(program, io);
  jobCommands(program, io);
  applyCommand(program, io);
  statusCommand(program, io);
  eventsCommand(program, io);
  webhookCommands(program, io);
  signalCommands(program, io);
  auditCommand(program, io);
  whoamiCommand(program, io);
  program.commandsGroup('Commands for this machine:');
  localCommands(program, io);
  providerCommands(program, io);
  completionCommand(program, io);
  return program;
}
