// `connections capture` and `connections captures`: calls through the proxy, kept for a while to look for a fault.
import type { Command } from 'commander';
import { brokerFor, globalsOf, part } from './broker.ts';
import { example } from './example.ts';
import { misused } from './failure.ts';
import type { Io } from './io.ts';
import { duration } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  AT: (c) => c.at,
  METHOD: (c) => c.method,
  HOST: (c) => c.host,
  PATH: (c) => c.path,
  STATUS: (c) => c.status ?? c.error,
  MS: (c) => c.duration_ms,
  ATTEMPTS: (c) => c.attempts,
};

export function captureCommands(connections: Command, io: Io): void {
  const capture = connections
    .command('capture')
    .argument('<id>')
    .description('keep the calls of a connection through the proxy, redacted, for a day')
    .option('--for <duration>', 'how long, at most 15m, which is the default')
    .option('--stop', 'end it before its time');
  example(
    capture,
    'valetkey connections capture con_01k… --for 10m',
    'valetkey connections capture con_01k… --stop',
  ).action(async (id: string, options: { for?: string; stop?: boolean }, command: Command) => {
    const path = `/v1/connections/${part(id)}/capture`;
    const print = printer(io, globalsOf(command).json);
    if (options.stop) {
      if (options.for !== undefined) throw misused('connections capture takes either --for or --stop');
      await brokerFor(io, command).ask('DELETE', path);
      return print.answer({ connection_id: id }, 'no calls are captured');
    }
    const ms = options.for === undefined ? undefined : duration(options.for);
    if (options.for !== undefined && ms === undefined) throw misused('--for must be a duration such as 90s or 10m');
    const body = ms === undefined ? {} : { duration: ms / 1_000 };
    const started = await brokerFor(io, command).ask('POST', path, body);
    print.answer(started, `calls are captured until ${started.until}`);
  });

  const list = connections
    .command('captures')
    .argument('<id>')
    .description('list the captured calls of a connection, the newest first (--json includes headers and bodies)');
  example(list, 'valetkey connections captures con_01k…').action(async (id: string, _, command: Command) => {
    const rows = brokerFor(io, command).all(`/v1/connections/${part(id)}/captures`, {});
    await printer(io, globalsOf(command).json).list(COLUMNS, rows);
  });
}
