// `signing-keys`: the keys that the deployment signs with. On the machine of the database and the keys only; admins rotate
// those of JWTs over the API too.
import { type Command, Option } from 'commander';
import { globalsOf, type Json } from './broker.ts';
import { example } from './example.ts';
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

type OpenKeys = Parameters<Parameters<typeof import('../runtime/commands.ts').useSigningKeys>[0]>[0];
type Key = Awaited<ReturnType<OpenKeys['jwt']['list']>>[number];

const COLUMNS: Columns = {
  ID: (k) => k.id,
  ALGORITHM: (k) => k.algorithm,
  STATE: (k) => k.state,
  PUBLISHED: (k) => k.published,
  CREATED: (k) => k.created_at,
  SIGNS: (k) => k.signs_at,
  RETIRED: (k) => k.retired_at,
};

interface Rotation {
  only?: 'webhook' | 'jwt';
  withdraw?: string;
}

export function signingKeyCommands(program: Command, io: Io): void {
  const keys = program
    .command('signing-keys')
    .description(
      'the keys that sign JWTs (/oauth2/jwks) and deliveries of events (v1a, /.well-known/webhook-keys): list, rotate',
    );
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = keys.command('list').description('list the keys that sign JWTs, the newest first');
  example(list, 'valetkey signing-keys list').action(async (_, command: Command) => {
    const commands = await import('../runtime/commands.ts');
    await commands.useSigningKeys(async ({ jwt }) => print(command).list(COLUMNS, (await jwt.list()).map(rowOf)));
  });

  const rotate = keys
    .command('rotate')
    .description(
      'make new keys, and print their ids: deliveries are signed with theirs at once, and with the one before for a day; JWTs after 15 minutes, when verifiers have seen the new one',
    )
    .addOption(new Option('--only <purpose>', 'only the key of deliveries, or of JWTs').choices(['webhook', 'jwt']))
    .option('--withdraw <id>', 'a key of JWTs that has leaked: delete it at once, and sign with another one');
  example(rotate, 'valetkey signing-keys rotate', 'valetkey signing-keys rotate --withdraw jwk_01k…').action(
    async ({ only, withdraw }: Rotation, command: Command) => {
      if (withdraw !== undefined && only !== undefined) throw misused('--withdraw and --only exclude each other');
      const commands = await import('../runtime/commands.ts');
      await commands.useSigningKeys(async (opened) => {
        if (withdraw !== undefined) {
          const left = await opened.jwt.withdraw(withdraw);
          if (!left) throw new Failure(`there is no signing key ${withdraw}`);
          const signing = left.find(({ state }) => state === 'signing');
          return print(command).answer({ jwt_keys: left.map(rowOf) }, `${signing?.id} signs now`);
        }
        const kid = only === 'jwt' ? undefined : await opened.rotateWebhookKey();
        const all = only === 'webhook' ? undefined : await opened.jwt.rotate();
        const newest = all?.find(({ state }) => state === 'published') ?? all?.[0];
        print(command).answer(
          { ...(kid !== undefined && { kid }), ...(all && { jwt_keys: all.map(rowOf) }) },
          [kid, newest?.id].filter((id) => id !== undefined),
        );
      });
    },
  );
}

const when = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

const rowOf = (key: Key): Json => ({
  id: key.id,
  algorithm: key.algorithm,
  state: key.state,
  published: key.isPublished,
  created_at: when(key.createdAt),
  signs_at: when(key.signsAt),
  retired_at: when(key.retiredAt),
  published_until: when(key.publishedUntil),
});
