// `migrate-data`: copies all data from one database to another, and verifies the copy.
import { type Command, Option } from 'commander';
import { globalsOf } from './broker.ts';
import { example } from './example.ts';
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

type Moved = import('../runtime/data-migration.ts').Moved;

const URL_KINDS = /^(file:.|postgres(ql)?:\/\/)/;

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
  const move = program
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
    move,
    'valetkey migrate-data --from file:./data/valetkey.db --to postgres://valetkey@db.example.com/valetkey',
  ).action(async ({ from, to }: { from: string; to: string }, command: Command) => {
    for (const [option, url] of Object.entries({ '--from': from, '--to': to }))
      if (!URL_KINDS.test(url))
        throw misused(`${option} is not a database URL: use file:PATH or postgres://USER@HOST/DATABASE`);
    const { moveData } = await import('../runtime/data-migration.ts');
    const moved = await moveData({
      from,
      to,
      dataDir: io.env.VALETKEY_DATA_DIR || './data',
      onProgress: ({ doing, table, rows, of }) => io.note(`${table}: ${rows} of ${of} rows ${doing}`),
    });
    if ('refused' in moved) throw new Failure(moved.refused);
    await report(moved, io, globalsOf(command).json);
    if (moved.unfinished !== undefined) throw new Failure(`The migration is not finished: ${moved.unfinished}.`);
  });
}

async function report({ from, to, tables, altered, written, unfinished }: Moved, io: Io, json = false): Promise<void> {
  const print = printer(io, json);
  const rows = tables.map(({ table, source, target, same }) => ({
    table,
    rows: source.rows,
    target_rows: target.rows,
    digest: source.digest,
    target_digest: target.digest,
    same,
  }));
  const places = altered.named.map(({ table, id, column }) => `${table} ${id} ${column}`);
  if (json) {
    const finished = unfinished === undefined;
    print.answer({ from, to, finished, written, tables: rows, altered: altered.count, altered_at: places }, '');
    return;
  }
  await print.list(COLUMNS, rows);
  if (altered.count > 0) {
    io.note(`${altered.count} values were copied without their NUL characters or fractions of a millisecond:`);
    for (const place of places) io.note(`  ${place}`);
  }
  if (unfinished === undefined)
    io.note(
      `All data is in ${to}. Start the broker on it, with the same keys. Do not start a broker on ${from} again.`,
    );
}
