// `backup`: copies the SQLite database to a file, while the broker runs.
import { isAbsolute, resolve } from 'node:path';
import type { Command } from 'commander';
import { globalsOf } from './broker.ts';
import { example } from './example.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { printer } from './output.ts';

export function backupCommand(program: Command, io: Io): void {
  const backup = program
    .command('backup')
    .argument('<to>', 'the new file; an existing one is never replaced')
    .description('copy the SQLite database to a file while the broker runs, and verify the copy')
    .addHelpText('after', '\nSecrets in it are encrypted, and the keys are not in it: keep VALETKEY_KEYS elsewhere.');
  example(backup, 'VALETKEY_DATABASE_URL=file:./data/valetkey.db valetkey backup ./backup/2027-01-31.db').action(
    async (to: string, _, command: Command) => {
      const { backup: run } = await import('../runtime/backup.ts');
      const path = isAbsolute(to) ? to : resolve(to);
      const done = await run(io.env, path);
      if ('refused' in done) throw new Failure(`no backup was made: ${done.refused}`);
      const { bytes, rescued } = done;
      printer(io, globalsOf(command).json).answer({ path, ...done, verified: true }, [
        `${path}: ${bytes} bytes, verified`,
        ...(rescued > 0
          ? [`${path}.rescue: ${rescued} token responses that wait for the database; it belongs to the copy`]
          : []),
      ]);
    },
  );
}
