// `sessions`: narrow credentials for agents: create, list, show, end.
import type { Command } from 'commander';
import { brokerFor, globalsOf, part } from './broker.ts';
import { example } from './example.ts';
import { misused } from './failure.ts';
import type { Io } from './io.ts';
import { given, secondsOf, several, wholeNumber } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (s) => s.id,
  STATUS: (s) => s.status,
  OWNER: (s) => s.owner,
  INTEGRATIONS: (s) => s.integrations as string[],
  ACTIONS: (s) => s.actions as string[],
  ACTOR: (s) => (s.actor as { id: string } | null)?.id ?? null,
  PURPOSE: (s) => s.purpose,
  EXPIRES: (s) => s.expires_at,
};

interface CreateOptions {
  owner: string;
  integration: string[];
  action?: string[];
  scope?: string[];
  method?: string[];
  path?: string[];
  tool?: string[];
  ttl?: number;
  purpose: string;
  actor?: string;
  actorName?: string;
  maxUses?: number;
  jwt?: string;
}

export function sessionCommands(program: Command, io: Io): void {
  const sessions = program
    .command('sessions')
    .description('manage agent sessions, which are short-lived and narrow credentials: create, list, show, end');
  const print = (command: Command) => printer(io, globalsOf(command).json);
  const at = (id: string) => `/v1/sessions/${part(id)}`;

  const create = sessions
    .command('create')
    .description('create a session; prints its id and its token, which is never shown again')
    .requiredOption('--owner <owner>', 'whose accounts it may use')
    .requiredOption('--integration <id>', 'at this integration; repeatable', several)
    .option('--action <action>', 'proxy (the default), token, connections:read or sessions; repeatable', several)
    .option('--scope <pattern>', 'only tokens within these scopes; repeatable', several)
    .option('--method <method>', 'only calls with this method; repeatable', several)
    .option('--path <pattern>', 'only calls to this path, such as "/repos/*"; repeatable', several)
    .option('--tool <pattern>', 'only these tools of an MCP server; repeatable', several)
    .option('--ttl <duration>', 'how long it lasts, such as 15m (the default); 1h at most', secondsOf)
    .option('--purpose <text>', 'what it is for, as the audit log shows it', 'made on the command line')
    .option('--actor <id>', 'the agent that acts with it')
    .option('--actor-name <name>', 'what that agent is called')
    .option('--max-uses <number>', 'how many requests it may authenticate', wholeNumber)
    .option('--jwt <audience>', 'its token is a JWT for this audience, one of those of the caller');
  example(
    create,
    'valetkey sessions create --owner user_42 --integration acme --ttl 15m --purpose "summarise the week"',
  ).action(async (options: CreateOptions, command: Command) => {
    const { owner, integration, action = ['proxy'], purpose, actor, actorName } = options;
    if (actorName !== undefined && actor === undefined) throw misused('--actor-name needs --actor');
    const body = {
      owner,
      integrations: integration,
      actions: action,
      purpose,
      ...given({
        scopes: options.scope,
        methods: options.method,
        paths: options.path,
        tools: options.tool,
        ttl: options.ttl,
        actor: actor === undefined ? undefined : { id: actor, ...given({ name: actorName }) },
        max_uses: options.maxUses,
        format: options.jwt === undefined ? undefined : 'jwt',
        audience: options.jwt,
      }),
    };
    const made = await brokerFor(io, command).ask('POST', '/v1/sessions', body);
    print(command).answer(made, [String(made.id), String(made.token)]);
  });

  const list = sessions
    .command('list')
    .description('list the sessions of the last day that the caller may see')
    .option('--owner <owner>', 'only of this owner')
    .option('--active', 'only those that last');
  example(list, 'valetkey sessions list --owner user_42 --active').action(
    async ({ owner, active }: { owner?: string; active?: boolean }, command: Command) => {
      const filter = { owner, status: active ? 'active' : undefined };
      await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/sessions', filter));
    },
  );

  const show = sessions.command('show').argument('<id>').description('show a session, without its token');
  example(show, 'valetkey sessions show ses_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('GET', at(id)));
  });

  const end = sessions
    .command('end')
    .alias('revoke')
    .argument('[id]')
    .description('end a session, with those that were made with it; takes effect at once')
    .option('--owner <owner>', 'end all sessions of this owner instead');
  example(end, 'valetkey sessions end ses_01k…').action(
    async (id: string | undefined, { owner }: { owner?: string }, command: Command) => {
      if ((id === undefined) === (owner === undefined)) throw misused('sessions end needs an id, or --owner');
      const broker = brokerFor(io, command);
      if (id !== undefined) return print(command).one(await broker.ask('DELETE', at(id)));
      const ended = await broker.ask('DELETE', `/v1/sessions?${new URLSearchParams({ owner: owner! })}`);
      print(command).answer(ended, `${String(ended.ended)} ended`);
    },
  );
}
