// `jobs`: long work that goes on in the brokers, and can be left and found again.
import type { Command } from 'commander';
import { brokerFor, globalsOf, type Json, part } from './broker.ts';
import { example } from './example.ts';
import { misused } from './failure.ts';
import type { Io } from './io.ts';
import { given, moment, wholeNumber } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (j) => j.id,
  KIND: (j) => j.kind,
  STATUS: (j) => j.status,
  DONE: (j) => progressOf(j),
  ERROR: (j) => j.last_error,
  CREATED: (j) => j.created_at,
  FINISHED: (j) => j.finished_at,
};

const progressOf = ({ done, total }: Json): string => (typeof total === 'number' ? `${done} of ${total}` : `${done}`);

const DEFAULT_LIMIT = 100;

export function jobCommands(program: Command, io: Io): void {
  const jobs = program
    .command('jobs')
    .description('long work that goes on in the brokers: list, show, cancel, revoke, replay, rotate-keys');
  const print = (command: Command) => printer(io, globalsOf(command).json);
  const started = async (command: Command, wanted: object) => {
    const job = await brokerFor(io, command).ask('POST', '/v1/jobs', wanted);
    print(command).answer(job, String(job.id));
  };

  const list = jobs
    .command('list')
    .description('list jobs, newest first')
    .option('--status <status>', 'only with this status: pending, running, completed, failed, cancelled')
    .option('--limit <number>', 'at most so many', wholeNumber, DEFAULT_LIMIT);
  example(list, 'valetkey jobs list --status running').action(
    async ({ status, limit }: { status?: string; limit: number }, command: Command) => {
      await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/jobs', { status }, limit));
    },
  );

  const show = jobs.command('show').argument('<id>').description('show a job, with its progress');
  example(show, 'valetkey jobs show job_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('GET', `/v1/jobs/${part(id)}`));
  });

  const cancel = jobs.command('cancel').argument('<id>').description('cancel a job; what was done stays done');
  example(cancel, 'valetkey jobs cancel job_01k…').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('DELETE', `/v1/jobs/${part(id)}`));
  });

  const revoke = jobs
    .command('revoke')
    .description('start to revoke all connections of an integration, of an owner, or of both; prints the id of the job')
    .option('--integration <id>', 'all connections of this integration')
    .option('--owner <owner>', 'all connections of this owner; with --integration, only those of both')
    .requiredOption('-y, --yes', 'without confirmation; see connections revoke --dry-run first');
  example(revoke, 'valetkey jobs revoke --integration acme --yes').action(
    async ({ integration, owner }: { integration?: string; owner?: string }, command: Command) => {
      // An unset variable of a script must not widen what is revoked.
      if (integration === '' || owner === '') throw misused('--integration and --owner must not be empty');
      if (integration === undefined && owner === undefined)
        throw misused('jobs revoke needs --integration, --owner, or both');
      await started(command, { kind: 'connections.revoke', ...given({ integration, owner }) });
    },
  );

  const replay = jobs
    .command('replay')
    .argument('<endpoint>')
    .description('start to send the events of a time range to a webhook endpoint again; prints the id of the job')
    .requiredOption('--from <time>', 'since: a duration before now such as 24h, or a time')
    .option('--to <time>', 'until: a duration before now, or a time; default now')
    .option('--status <status>', 'only deliveries with this status; default all that were not delivered');
  example(replay, 'valetkey jobs replay whe_01k… --from 24h').action(
    async (
      endpoint: string,
      { from, to, status }: { from: string; to?: string; status?: string },
      command: Command,
    ) => {
      const range = { from: moment(from, io.now(), -1), ...given({ to: to && moment(to, io.now(), -1), status }) };
      await started(command, { kind: 'deliveries.replay', endpoint, ...range });
    },
  );

  const rotate = jobs
    .command('rotate-keys')
    .description('start to encrypt all secrets with the first key of the brokers; prints the id of the job');
  example(rotate, 'valetkey jobs rotate-keys').action(async (_, command: Command) => {
    await started(command, { kind: 'keys.rotate' });
  });
}
