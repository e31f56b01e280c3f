// `callers`: internal services, their grants and their keys.
import type { Command } from 'commander';
import { visibleText } from '../domain/visible-text.ts';
import { brokerFor, globalsOf, type Json, listOf, part } from './broker.ts';
import {
  type CallerOptions,
  callerOptions,
  grantsInWords,
  grantsOf,
  rateLimitOf,
  workloadsOf,
} from './caller-options.ts';
import { example } from './example.ts';
import { misused } from './failure.ts';
import type { Io } from './io.ts';
import { given, moment } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (c) => c.id,
  NAME: (c) => c.name,
  KEYS: (c) => listOf(c, 'keys').map(({ prefix }) => `${prefix}…`),
  GRANTS: (c) => grantsInWords(c.grants),
};

/** What is wrong with its workload bindings: to stderr, since the output may be JSON. */
function warn(io: Io, { name, warnings }: Json): void {
  for (const { path, message } of (warnings ?? []) as Record<string, string>[])
    io.note(visibleText(`warning: caller ${name}: ${path}: ${message}`));
}

async function* warned(io: Io, callers: AsyncIterable<Json>): AsyncIterable<Json> {
  for await (const caller of callers) {
    warn(io, caller);
    yield caller;
  }
}

export function callerCommands(program: Command, io: Io): void {
  const callers = program
    .command('callers')
    .description('manage callers: list, show, create, update, delete; keys add, keys delete');
  const print = (command: Command) => printer(io, globalsOf(command).json);
  const at = (id: string) => `/v1/callers/${part(id)}`;

  const list = callers.command('list').description('list callers');
  example(list, 'valetkey callers list').action(async (_, command: Command) => {
    await print(command).list(COLUMNS, warned(io, brokerFor(io, command).all('/v1/callers')));
  });

  const show = callers.command('show').argument('<id>').description('show a caller, with its grants and keys');
  example(show, 'valetkey callers show clr_01k…').action(async (id: string, _, command: Command) => {
    const caller = await brokerFor(io, command).ask('GET', at(id));
    warn(io, caller);
    await print(command).one(caller);
  });

  const create = callerOptions(
    callers
      .command('create')
      .description('create a caller; prints its id and its key, which is never shown again')
      .requiredOption('--name <name>', 'the name of the service'),
  ).option('--key-expires <time>', 'when its key expires: a duration such as 90d, or a time');
  example(create, 'valetkey callers create --name billing --action token --integration acme --owner "user_*"').action(
    async (options: CallerOptions & { name: string; keyExpires?: string }, command: Command) => {
      const grants = grantsOf(options);
      if (grants.length === 0) throw misused('callers create needs --name and at least one --action, or --grant');
      const wanted = given({
        workloads: workloadsOf(options),
        rate_limit: rateLimitOf(options),
        max_session_ttl: options.maxSessionTtl,
        audiences: options.audience,
        key_expires_at: options.keyExpires && moment(options.keyExpires, io.now(), 1),
      });
      const made = await brokerFor(io, command).ask('POST', '/v1/callers', { name: options.name, grants, ...wanted });
      print(command).answer(made, typeof made.key === 'string' ? [String(made.id), made.key] : String(made.id));
    },
  );

  const update = callerOptions(
    callers
      .command('update')
      .argument('<id>')
      .description('update a caller; what is not given stays, and so do its keys')
      .option('--name <name>', 'the new name of the service')
      .option('--add', 'add the grants to the existing ones instead of replacing them'),
  );
  example(update, 'valetkey callers update clr_01k… --add --action token --integration acme --owner "user_*"').action(
    async (id: string, options: CallerOptions & { name?: string; add?: boolean }, command: Command) => {
      const grants = grantsOf(options);
      const change = given({
        name: options.name,
        grants: grants.length > 0 ? grants : undefined,
        workloads: workloadsOf(options),
        rate_limit: rateLimitOf(options),
        max_session_ttl: options.maxSessionTtl,
        audiences: options.audience,
      });
      if (Object.keys(change).length === 0) throw misused('callers update needs something to change; see --help');
      const broker = brokerFor(io, command);
      const stored = await broker.ask('GET', at(id));
      const { name, rate_limit, max_session_ttl, audiences } = stored;
      const before = listOf(stored, 'grants');
      const bindings = listOf(stored, 'workloads').map(({ id: _, ...workload }) => workload);
      const current = { name, grants: before, workloads: bindings, rate_limit, max_session_ttl, audiences };
      const added = options.add && grants.length > 0 && { grants: [...before, ...grants] };
      const updated = await broker.ask('PUT', at(id), { ...current, ...change, ...added });
      warn(io, updated);
      await print(command).one(updated);
    },
  );

  const remove = callers
    .command('delete')
    .argument('<id>')
    .description('delete a caller and its keys; takes effect at once');
  example(remove, 'valetkey callers delete clr_01k…').action(async (id: string, _, command: Command) => {
    await brokerFor(io, command).ask('DELETE', at(id));
    print(command).answer({ id, deleted: true }, 'deleted');
  });

  const keys = callers.command('keys').description('manage the keys of a caller: add, delete');
  const add = keys
    .command('add')
    .argument('<id>')
    .description('add a key, for rotation; prints its id and the key, which is never shown again')
    .option('--expires <time>', 'when it expires: a duration such as 90d, or a time such as 2027-01-31T12:00:00Z');
  example(add, 'valetkey callers keys add clr_01k… --expires 90d').action(
    async (id: string, { expires }: { expires?: string }, command: Command) => {
      const body = given({ expires_at: expires && moment(expires, io.now(), 1) });
      const made = await brokerFor(io, command).ask('POST', `${at(id)}/keys`, body);
      print(command).answer(made, [String(made.id), String(made.key)]);
    },
  );
  const drop = keys
    .command('delete')
    .argument('<id>')
    .argument('<key-id>')
    .description('delete a key; takes effect at once');
  example(drop, 'valetkey callers keys delete clr_01k… key_01k…').action(
    async (id: string, keyId: string, _, command: Command) => {
      await brokerFor(io, command).ask('DELETE', `${at(id)}/keys/${part(keyId)}`);
      print(command).answer({ id: keyId, deleted: true }, 'deleted');
    },
  );
}
