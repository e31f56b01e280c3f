// Commands for this machine, configured by the environment: the broker, its database and its keys.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { backupCommand } from './backup.ts';
import { globalsOf } from './broker.ts';
import { example } from './example.ts';
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { migrateDataCommand } from './migrate-data.ts';
import { signingKeyCommands } from './signing-keys.ts';
import { unreadableResponseCommands } from './unreadable-responses.ts';

export function localCommands(program: Command, io: Io): void {
  const serve = program
    .command('serve')
    .description('run the broker')
    .option('--force', 'start on a database that was migrated to another one, if no broker was ever started there');
  example(serve, 'VALETKEY_ADMIN_KEY=$(openssl rand -hex 32) valetkey serve').action(
    async ({ force = false }: { force?: boolean }) => {
      const { serve: run } = await import('../runtime/main.ts');
      await run({ force });
    },
  );

  const demo = program.command('demo').description('run a local provider and a broker, and go through the whole flow');
  example(demo.option('--once', 'exit after the last step'), 'valetkey demo --once').action(runDemo);

  const migrate = program.command('migrate').description('run the database migrations, then exit');
  example(migrate, 'VALETKEY_DATABASE_URL=file:./data/valetkey.db valetkey migrate').action(async () => {
    const commands = await import('../runtime/commands.ts');
    await commands.migrate();
  });

  migrateDataCommand(program, io);
  backupCommand(program, io);

  const keys = program.command('keys').description('manage the key ring: generate, rotate');
  const generate = keys
    .command('generate')
    .description(
      'print a new key for VALETKEY_KEYS; it encrypts secrets and authenticates rows, so who has the database but not this key reads no secret and forges no caller, owner or endpoint (SECURITY.md says what is left)',
    );
  example(generate.option('--kid <id>', 'the id of the key'), 'valetkey keys generate --kid 2027').action(
    async ({ kid }: { kid?: string }) => {
      const { generateKey, isKid } = await import('../runtime/keys.ts');
      if (kid !== undefined && !isKid(kid)) throw misused('--kid: 1 to 32 letters, digits, dashes or underscores');
      io.out(generateKey(kid));
    },
  );
  const rotate = keys.command('rotate').description('re-encrypt all secrets with the first key of VALETKEY_KEYS');
  example(rotate, 'VALETKEY_KEYS=$NEW,$OLD valetkey keys rotate').action(async (_, command: Command) => {
    const commands = await import('../runtime/commands.ts');
    await commands.rotate({ json: globalsOf(command).json ?? false });
  });

  signingKeyCommands(program, io);
  unreadableResponseCommands(program, io);
}

async function runDemo({ once: onlyOnce }: { once?: boolean }): Promise<void> {
  const { packageFile } = await import('../package-files.ts');
  const path = packageFile('demo/main.ts');
  if (!existsSync(path))
    throw new Failure('this installation does not include the demo; in the repository, run: npm run demo');
  const child = spawn(process.execPath, [path, ...(onlyOnce ? ['--once'] : [])], { stdio: 'inherit' });
  // Ctrl-C reaches both processes; the demo handles it.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Failure('', code ?? 1);
}
