// `connections`: list, show, refresh, check, capture, retry, revoke, import.
import type { Command } from 'commander';
import { brokerFor, globalsOf, type Json, part } from './broker.ts';
import { captureCommands } from './captures.ts';
import { retryCommand } from './connections-retry.ts';
import { revokeCommand } from './connections-revoke.ts';
import { example } from './example.ts';
import { explanationOf } from './explanation.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { given, jsonObject, pairs, readText } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (c) => c.id,
  INTEGRATION: (c) => c.integration,
  OWNER: (c) => c.owner,
  LABEL: (c) => c.label ?? '-',
  STATUS: (c) => c.status,
  REASON: (c) => c.reason,
  // The last one: scripts read the others by their place.
  ACCOUNT: (c) => accountIn(c),
};

/** The name of the account, or its id; null where the provider does not tell. */
const accountIn = ({ account }: Json): string | null => {
  const { id, name } = (account ?? {}) as { id?: string; name?: string | null };
  return name ?? id ?? null;
};

export function connectionCommands(program: Command, io: Io): void {
  const connections = program
    .command('connections')
    .description('manage connections: list, show, refresh, check, capture, captures, retry, revoke, import');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = connections
    .command('list')
    .description('list the connections that the caller may see')
    .option('--integration <id>', 'only of this integration')
    .option('--owner <owner>', 'only of this owner')
    .option('--status <status>', 'only with this status: active, needs_reauth, on_hold or revoked');
  example(list, 'valetkey connections list --integration acme --status needs_reauth').action(
    async (options: Record<string, string | undefined>, command: Command) => {
      const { integration, owner, status } = options;
      await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/connections', { integration, owner, status }));
    },
  );

  const show = connections.command('show').argument('<id>').description('show a connection, and why it does not work');
  example(show, 'valetkey connections show con_01k…').action(async (id: string, _, command: Command) => {
    const printer = print(command);
    const found = await brokerFor(io, command).ask('GET', `/v1/connections/${part(id)}`);
    await printer.one(printer.json ? found : { ...found, explanation: explanationOf(found) });
  });

  const refresh = connections
    .command('refresh')
    .argument('<id>')
    .description('refresh the token of a connection now; prints when it expires (--json includes the token)')
    .option('--rejected-token-stdin', 'refresh only if the stored token is the one on stdin, which an API rejected');
  example(refresh, 'valetkey connections refresh con_01k…').action(
    async (id: string, options: { rejectedTokenStdin?: boolean }, command: Command) => {
      const body = options.rejectedTokenStdin ? { rejected_token: (await io.input()).trim() } : {};
      const served = await brokerFor(io, command).ask('POST', `/v1/connections/${part(id)}/refresh`, body);
      const until = served.expires_at === null ? 'does not expire' : `expires at ${served.expires_at}`;
      print(command).answer(served, `the token ${until}`);
    },
  );

  const check = connections
    .command('check')
    .argument('<id>')
    .description('ask the API whether the token works, and whose account it is; exits with 1 if not');
  example(check, 'valetkey connections check con_01k…').action(async (id: string, _, command: Command) => {
    const found = await brokerFor(io, command).ask('POST', `/v1/connections/${part(id)}/check`);
    const account = accountIn(found);
    const whose = account === null ? '' : `, of ${account}`;
    print(command).answer(found, found.ok === true ? `the token works${whose}` : `not ok: ${found.reason}${whose}`);
    if (found.ok !== true) throw new Failure('');
  });

  captureCommands(connections, io);

  retryCommand(connections, io);

  revokeCommand(connections, io);

  const add = connections
    .command('import')
    .argument('<integration>')
    .argument('<owner>', 'whose account it is')
    .description('import credentials that were obtained elsewhere; reads them from stdin as JSON')
    .option('--credentials <file>', 'read the credentials from this file instead')
    .option('--label <label>', 'distinguishes several connections of one owner')
    .option('--param <name=value>', 'a connection parameter of the provider; repeatable', pairs)
    .option('--captured <name=value>', 'a value that was captured when the account was connected; repeatable', pairs)
    .option('--metadata <json>', 'any JSON object, stored with the connection')
    .option('--connection <id>', 'renew this connection');
  example(add, 'valetkey connections import acme user_42 < credentials.json').action(
    async (integration: string, owner: string, options: ImportOptions, command: Command) => {
      const { label, param: params, captured, metadata, connection } = options;
      const body = {
        integration,
        owner,
        ...given({ label, params, captured, connection_id: connection }),
        ...(metadata !== undefined && { metadata: jsonObject(metadata, '--metadata') }),
        credentials: await credentialsOf(options.credentials),
      };
      await print(command).one(await brokerFor(io, command).ask('POST', '/v1/connections', body));
    },
  );

  async function credentialsOf(file: string | undefined): Promise<Json> {
    if (file === undefined && io.inputIsTty)
      io.note('Enter the credentials as JSON, such as {"refresh_token":"…"}, and end with Ctrl-D:');
    return jsonObject(file === undefined ? await io.input() : readText(file), file ?? 'stdin');
  }
}

interface ImportOptions {
  credentials?: string;
  label?: string;
  param?: Record<string, string>;
  captured?: Record<string, string>;
  metadata?: string;
  connection?: string;
}
