// Connecting an account: an invitation for a browser, and the wait for what becomes of it.
import type { Command } from 'commander';
import { type Broker, brokerFor, globalsOf, type Json, part } from './broker.ts';
import { example } from './example.ts';
import { EXIT, Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { given, pairs, several, wholeNumber } from './options.ts';
import { printer } from './output.ts';

interface Options {
  label?: string;
  scope?: string[];
  param?: Record<string, string>;
  connection?: string;
  open: boolean;
  timeout?: number;
}

/** Milliseconds between two looks. */
const LOOK_EVERY_MS = 1_000;

export function connectCommand(program: Command, io: Io): void {
  const connect = program
    .command('connect')
    .description('connect an account in the browser, and wait until that is done')
    .argument('[integration]')
    .argument('[owner]', 'whose account it is')
    .option('--label <label>', "tells an owner's connections apart")
    .option('--scope <scope>', 'ask for this one, not those of the integration; several times', several)
    .option('--param <name=value>', 'what the provider asks of a connection; several times', pairs)
    .option('--connection <id>', 'renew this connection, under its id; integration and owner may be left out')
    .option('--no-open', 'only print the URL')
    .option('--timeout <seconds>', 'wait no longer than this', wholeNumber);
  example(
    connect,
    'valetkey connect acme user_42 --scope read',
    'valetkey connect --connection con_01k… --no-open',
  ).action(async (integration: string | undefined, owner: string | undefined, options: Options, command: Command) => {
    const broker = brokerFor(io, command);
    const whom = await whomOf(broker, integration, owner, options.connection);
    const invited = await broker.ask('POST', '/v1/connect-sessions', {
      ...whom,
      ...given({
        label: options.label,
        scopes: options.scope,
        params: options.param,
        connection_id: options.connection,
      }),
    });
    const interrupted = io.interrupted();
    io.note(`Open this in a browser, and agree:\n  ${invited.url}`);
    if (options.open) await io.open(String(invited.url)).catch(() => io.note('No browser could be opened here.'));
    const session = await waitFor(broker, String(invited.id), options.timeout, interrupted, io);
    const connection = await broker
      .ask('GET', `/v1/connections/${part(String(session.connection_id))}`)
      // It may connect and not read.
      .catch((): Json => ({ id: session.connection_id, ...whom }));
    await printer(io, globalsOf(command).json).one(connection);
  });
}

async function whomOf(broker: Broker, integration?: string, owner?: string, connection?: string): Promise<Json> {
  if (integration !== undefined && owner !== undefined) return { integration, owner };
  if (connection === undefined) throw misused('connect needs INTEGRATION and OWNER, or --connection ID');
  const known = await broker.ask('GET', `/v1/connections/${part(connection)}`);
  return { integration: known.integration, owner: known.owner };
}

/** The session as it was completed. Rejects with `Failure`. */
async function waitFor(
  broker: Broker,
  id: string,
  timeout: number | undefined,
  interrupted: AbortSignal,
  io: Io,
): Promise<Json> {
  const until = timeout === undefined ? Number.POSITIVE_INFINITY : io.now() + timeout * 1_000;
  for (;;) {
    const session = await broker.ask('GET', `/v1/connect-sessions/${part(id)}`);
    if (session.status === 'completed') return session;
    if (session.status === 'failed')
      throw new Failure(`it was not connected: ${session.error ?? 'no reason was told'}`);
    if (session.status === 'expired') throw new Failure('nobody agreed in time; run the command again for a new link');
    if (io.now() >= until) throw new Failure(`not connected yet; the link stays good until ${session.expires_at}`);
    try {
      await io.pause(Math.min(LOOK_EVERY_MS, until - io.now()), interrupted);
    } catch {
      throw new Failure(`no longer waiting; the link stays good until ${session.expires_at}`, EXIT.interrupted);
    }
  }
}
