// `token`: prints an access token, or the header to send it with, and nothing else, for use in `$(…)`.
import type { Command } from 'commander';
import { brokerFor, globalsOf, type Json, part, queryOf, quoted } from './broker.ts';
import { example } from './example.ts';
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { wholeNumber } from './options.ts';
import { printer } from './output.ts';

interface Options {
  connection?: string;
  label?: string;
  minTtl?: number;
  header?: boolean;
}

export function tokenCommand(program: Command, io: Io): void {
  const token = program
    .command('token')
    .description('print a valid access token, and nothing else')
    .argument('[integration]')
    .argument('[owner]', 'whose account it is')
    .option('--connection <id>', 'of this connection; instead of integration and owner')
    .option('--label <label>', "the label of the connection; '' means the one without a label")
    .option('--min-ttl <seconds>', 'minimum remaining lifetime of the token; default 60', wholeNumber)
    .option('--header', 'print the HTTP header to send it with');
  example(
    token,
    'curl -H "Authorization: Bearer $(valetkey token acme user_42)" https://api.example.com/me',
    'valetkey token --connection con_01k… --header',
  ).action(async (integration: string | undefined, owner: string | undefined, options: Options, command: Command) => {
    const { connection, label, minTtl } = options;
    if (connection === undefined ? owner === undefined : integration !== undefined || label !== undefined)
      throw misused('token needs either INTEGRATION and OWNER, or --connection ID');
    const min_ttl = minTtl === undefined ? undefined : String(minTtl);
    const path =
      connection === undefined
        ? `/v1/token?${queryOf({ integration, owner, label, min_ttl })}`
        : `/v1/connections/${part(connection)}/token?${queryOf({ min_ttl })}`;
    const whom = integration === undefined ? '' : ` ${quoted(integration)} ${quoted(owner)}`;
    const served = await brokerFor(io, command)
      .ask('GET', path)
      .catch((error: unknown) => {
        throw withConnectHint(error, whom, label);
      });
    const words = options.header ? headerOf(served, io) : String(served.access_token);
    printer(io, globalsOf(command).json).answer(served, words);
  });
}

/** If the owner has to connect first, adds the command for it. */
function withConnectHint(error: unknown, whom: string, label: string | undefined): unknown {
  const { code, connection_id: id } = (error instanceof Failure && error.problem) || {};
  const renewed = `${whom} --connection ${id}`;
  const made = `${whom}${label ? ` --label ${quoted(label)}` : ''}`;
  const line =
    code === 'reauthorization_required'
      ? renewed
      : (code === 'not_found' || code === 'connection_revoked') && whom !== ''
        ? made
        : undefined;
  if (line === undefined || !(error instanceof Failure)) return error;
  return new Failure(`${error.message}\nTo connect the owner, run: valetkey connect${line}`, error.code, error.problem);
}

/** By `token_type`: the word before the token in the Authorization header, or `header:NAME`. */
function headerOf({ token_type, access_token }: Json, io: Io): string {
  const type = String(token_type);
  if (type === 'DPoP')
    io.note('Each request also needs a DPoP header: create it with POST /v1/connections/{id}/dpop-proof.');
  if (/^[A-Za-z]+$/.test(type)) return `Authorization: ${type} ${access_token}`;
  const [, name] = /^header:(.+)$/.exec(type) ?? [];
  if (name === undefined) throw new Failure(`this token is not sent in a header: its token_type is ${type}`);
  return `${name}: ${access_token}`;
}
