// `migrate-data`: copies all data from one database to another, and verifies the copy.
import { type Command, Option } from 'commander';
import { globalsOf } from './broker.ts';
import { example } from './example.ts';
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

type DataMigrationResult = import('../runtime/data-migration.ts').DataMigrationResult;

const DATABASE_URL = /^(file:.|postgres(ql)?:\/\/)/;

/** Digits of a digest that are shown: enough for people to compare. */
const DIGEST_LENGTH = 16;
const COLUMNS: Columns = {
  TABLE: ({ table }) => table,
  ROWS: ({ rows }) => rows,
  'TARGET ROWS': ({ target_rows }) => target_rows,
  'SHA-256': ({ digest }) => String(digest).slice(0, DIGEST_LENGTH),
  '': ({ same }) => (same ? 'same' : 'DIFFERENT'),
};

export function migrateDataCommand(program: Command, io: Io): void {
  const migrate = program
    .command('migrate-data')
    .description('copy all data to an empty database, and verify the copy; no broker may run on either database')
    .addOption(
      new Option('--from <url>', 'the source: file:PATH or postgres://USER@HOST/DATABASE').makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--to <url>',
        'the target, in the same format; passwords come from PGPASSWORD or ~/.pgpass',
      ).makeOptionMandatory(),
    );
  example(
    migrate,
    'valetkey migrate-data --from file:./data/valetkey.db --to postgres://valetkey@db.example.com/valetkey',
  ).action(async ({ from, to }: { from: string; to: string }, command: Command) => {
    for (const [option, url] of Object.entries({ '--from': from, '--to': to }))
      if (!DATABASE_URL.test(url))
        throw misused(`${option} is not a database URL: use file:PATH or postgres://USER@HOST/DATABASE`);
    const { runDataMigration } = await import('../runtime/data-migration.ts');
    const result = await runDataMigration({
      from,
      to,
      dataDir: io.env.VALETKEY_DATA_DIR || './data',
      onProgress: ({ step, table, rows, of }) => io.note(`${table}: ${rows} of ${of} rows ${step}`),
    });
    if ('refused' in result) throw new Failure(result.refused);
    await report(result, io, globalsOf(command).json);
    if (result.unfinished !== undefined)
      throw new Failure(`The data migration has not finished: ${result.unfinished}.`);
  });
}

async function report(
  { from, to, tables, altered, written, unfinished }: DataMigrationResult,
  io: Io,
  json = false,
): Promise<void> {
  const print = printer(io, json);
  const rows = tables.map(({ table, source, target, same }) => ({
    table,
    rows: source.rows,
    target_rows: target.rows,
    digest: source.digest,
    target_digest: target.digest,
    same,
  }));
  const alteredAt = altered.named.map(({ table, id, column }) => `${table} ${id} ${column}`);
  if (json) {
    const finished = unfinished === undefined;
    print.answer({ from, to, finished, written, tables: rows, altered: altered.count, altered_at: alteredAt }, '');
    return;
  }
  await print.list(COLUMNS, rows);
  if (altered.count > 0) {
    io.note(`${altered.count} values were copied without their NUL characters or fractions of a millisecond:`);
    for (const value of alteredAt) io.note(`  ${value}`);
  }
  if (unfinished === undefined)
    io.note(
      `All data is in ${to}. Start the broker on it, with the same keys. Do not start a broker on ${from} again.`,
    );
}
