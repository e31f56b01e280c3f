// `connect`: creates a connect session, opens it in a browser, and waits for the result.
import type { Command } from 'commander';
import { visibleJson } from '../domain/visible-text.ts';
import { type Broker, brokerFor, globalsOf, type Json, part } from './broker.ts';
import { example } from './example.ts';
import { EXIT, Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { given, idsOf, pairs, several, wholeNumber } from './options.ts';
import { printer } from './output.ts';

interface Options {
  label?: string;
  scope?: string[];
  param?: Record<string, string>;
  connection?: string;
  integrations?: string[];
  replaceScopes?: true;
  open: boolean;
  timeout?: number;
}

const POLL_INTERVAL_MS = 1_000;

export function connectCommand(program: Command, io: Io): void {
  const connect = program
    .command('connect')
    .description('connect an account in the browser, and wait for the result')
    .argument('[integration]')
    .argument('[owner]', 'whose account it is')
    .option('--integrations <ids>', 'instead of one: the owner chooses; OWNER is then the only argument', idsOf)
    .option('--label <label>', 'distinguishes several connections of one owner')
    .option('--scope <scope>', 'request this scope instead of those of the integration; repeatable', several)
    .option('--param <name=value>', 'a connection parameter of the provider; repeatable', pairs)
    .option('--connection <id>', 'renew this connection; integration and owner may be omitted')
    .option('--replace-scopes', 'a renewed connection gives up the scopes that are not requested')
    .option('--no-open', 'print the URL, do not open a browser')
    .option('--timeout <seconds>', 'maximum time to wait', wholeNumber);
  example(
    connect,
    'valetkey connect acme user_42 --scope read',
    'valetkey connect --connection con_01k… --no-open',
    'valetkey connect --integrations acme,beta user_42',
  ).action(async (integration: string | undefined, owner: string | undefined, options: Options, command: Command) => {
    const broker = brokerFor(io, command);
    const whom =
      options.integrations === undefined
        ? await whomOf(broker, integration, owner, options.connection)
        : chosenBy(options.integrations, integration, owner);
    const created = await broker.ask('POST', '/v1/connect-sessions', {
      ...whom,
      ...given({
        label: options.label,
        scopes: options.scope,
        params: options.param,
        connection_id: options.connection,
        replace_scopes: options.replaceScopes,
      }),
    });
    const interrupted = io.interrupted();
    const { json = false } = globalsOf(command);
    // To stderr also as JSON: stdout is the connection alone.
    io.note(
      json ? visibleJson(JSON.stringify(created)) : `Open this link in a browser and grant access:\n  ${created.url}`,
    );
    if (options.open)
      await io.open(String(created.url)).catch(() => {
        if (!json) io.note('No browser could be opened.');
      });
    const session = await waitFor(broker, created, options.timeout, interrupted, io);
    const connection = await broker
      .ask('GET', `/v1/connections/${part(String(session.connection_id))}`)
      // The caller may be allowed to connect, but not to read connections.
      .catch((): Json => ({ id: session.connection_id, ...whom }));
    await printer(io, json).one(connection);
  });
}

function chosenBy(integrations: string[], owner: string | undefined, more: string | undefined): Json {
  if (owner === undefined || more !== undefined)
    throw misused('connect --integrations IDS needs OWNER, and no INTEGRATION');
  return { integrations, owner };
}

async function whomOf(broker: Broker, integration?: string, owner?: string, connection?: string): Promise<Json> {
  if (integration !== undefined && owner !== undefined) return { integration, owner };
  if (connection === undefined) throw misused('connect needs INTEGRATION and OWNER, or --connection ID');
  const known = await broker.ask('GET', `/v1/connections/${part(connection)}`);
  return { integration: known.integration, owner: known.owner };
}

/**
 * The completed session. While the broker is away, as in a restart, the owner may still use the link when it is back: until the
 * link ends, that is waited out. Rejects with `Failure`.
 */
async function waitFor(
  broker: Broker,
  created: Json,
  timeout: number | undefined,
  interrupted: AbortSignal,
  io: Io,
): Promise<Json> {
  const until = timeout === undefined ? Number.POSITIVE_INFINITY : io.now() + timeout * 1_000;
  const linkEnds = Date.parse(String(created.expires_at));
  for (;;) {
    let pauseMs = POLL_INTERVAL_MS;
    const session = await broker
      .ask('GET', `/v1/connect-sessions/${part(String(created.id))}`)
      .catch((error: unknown): Json => {
        if (!(error instanceof Failure && error.isTransient && io.now() < linkEnds)) throw error;
        const asked = Math.min((error.retryAfter ?? 0) * 1_000, linkEnds - io.now());
        pauseMs = Math.max(pauseMs, asked);
        return created;
      });
    if (session.status === 'completed') return session;
    if (session.status === 'failed') throw new Failure(`not connected: ${session.error ?? 'unknown error'}`);
    if (session.status === 'cancelled') throw new Failure('not connected: the session was cancelled');
    if (session.status === 'expired') throw new Failure('the link has expired; run the command again for a new one');
    if (io.now() >= until) throw new Failure(`not connected yet; the link is valid until ${session.expires_at}`);
    try {
      await io.pause(Math.min(pauseMs, until - io.now()), interrupted);
    } catch {
      throw new Failure(`stopped waiting; the link is valid until ${session.expires_at}`, EXIT.interrupted);
    }
  }
}
