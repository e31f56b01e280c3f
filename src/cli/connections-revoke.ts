// `connections revoke`: one connection, or all of an integration or an owner, which must be confirmed.
import type { Command } from 'commander';
import { type Broker, brokerFor, globalsOf, type Json, part, quoted } from './broker.ts';
import { confirm } from './confirmation.ts';
import { example } from './example.ts';
import { misused } from './failure.ts';
import type { Io } from './io.ts';
import { given } from './options.ts';
import { printer } from './output.ts';

interface Options {
  integration?: string;
  owner?: string;
  dryRun?: boolean;
  yes?: boolean;
}

export function revokeCommand(connections: Command, io: Io): void {
  const revoke = connections
    .command('revoke')
    .argument('[id]', 'omit with --integration or --owner')
    .description(
      'revoke a connection, or all of an integration or an owner, here and at the provider; asks before many',
    )
    .option('--integration <id>', 'revoke all connections of this integration')
    .option('--owner <owner>', 'revoke all connections of this owner; with --integration, only those of both')
    .option('--dry-run', 'only say how many connections would be revoked')
    .option('-y, --yes', 'revoke without confirmation');
  example(
    revoke,
    'valetkey connections revoke con_01k…',
    'valetkey connections revoke --owner user_42 --dry-run',
    'valetkey connections revoke --owner user_42 --yes',
  ).action(async (id: string | undefined, options: Options, command: Command) => {
    const { integration, owner, dryRun = false, yes = false } = options;
    const { json, answer } = printer(io, globalsOf(command).json);
    const broker = brokerFor(io, command);
    if (id !== undefined && (integration ?? owner) !== undefined)
      throw misused('connections revoke takes either an id, or --integration and --owner, not both');
    if (id !== undefined) {
      if (dryRun) throw misused('--dry-run needs --integration or --owner');
      const done = await broker.ask('DELETE', `/v1/connections/${part(id)}`);
      return answer(done, `revoked; at the provider: ${done.upstream_revocation}${unseenBy(done)}`);
    }
    // An unset variable of a script must not widen what is revoked.
    if (integration === '' || owner === '') throw misused('--integration and --owner must not be empty');
    if (integration === undefined && owner === undefined)
      throw misused('connections revoke needs an id, --integration or --owner');

    const whose = [integration && `of integration ${quoted(integration)}`, owner && `of owner ${quoted(owner)}`];
    const which = whose.filter(Boolean).join(' ');
    const wanted = given({ integration, owner }) as Record<string, string>;
    if (dryRun || !yes) {
      const count = await liveCount(broker, wanted);
      if (dryRun) return answer({ would_revoke: count }, `${inWords(count)} ${which} would be revoked`);
      const word = [integration, owner].filter(Boolean).join(' ');
      const question = `This revokes ${inWords(count)} ${which}, here and at the provider. It cannot be undone.\nType ${word} to confirm: `;
      await confirm(io, { question, word, otherwise: 'nothing was revoked', json });
    }
    const done = await broker.ask('POST', '/v1/connections/revoke', wanted);
    answer(done, `${done.revoked} revoked${unseenBy(done)}`);
  });
}

async function liveCount(broker: Broker, wanted: Record<string, string>): Promise<number> {
  let count = 0;
  for await (const { status } of broker.all('/v1/connections', wanted)) if (status !== 'revoked') count++;
  return count;
}

const inWords = (count: number): string => (count === 1 ? '1 connection' : `${count} connections`);

/** What to say of replicas that have not applied it yet. */
const unseenBy = ({ replicas_pending: count }: Json): string =>
  typeof count === 'number' ? `; ${count} of the replicas had not seen it yet` : '';
