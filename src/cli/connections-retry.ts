// `connections retry`: tries dead grants once more, one by one.
import type { Command } from 'commander';
import { visibleText } from '../domain/visible-text.ts';
import { type Broker, brokerFor, globalsOf, type Json, part } from './broker.ts';
import { example } from './example.ts';
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { moment } from './options.ts';
import { printer } from './output.ts';

/** Between two connections, so that neither the broker nor the provider sees a burst. */
const PAUSE_MS = 50;
const PROGRESS_EVERY = 50;

interface Options {
  integration?: string;
  since?: string;
}

interface Counts {
  tried: number;
  active: number;
  still_dead: number;
  failed: number;
}

export function retryCommand(connections: Command, io: Io): void {
  const retry = connections
    .command('retry')
    .argument('[ids...]', 'omit with --integration')
    .description('try dead grants once more, such as after a fault of the provider or of the integration')
    .option('--integration <id>', 'those of this integration that need their owner')
    .option('--since <time>', 'only those that changed since: an RFC 3339 time, or a duration such as 30m, 1h, 2d');
  example(
    retry,
    'valetkey connections retry con_01k…',
    'valetkey connections retry --integration acme --since 1h',
  ).action(async (ids: string[], { integration, since }: Options, command: Command) => {
    if (ids.length > 0 === (integration !== undefined))
      throw misused('connections retry takes either ids, or --integration');
    if (since !== undefined && integration === undefined) throw misused('--since needs --integration');
    const from = since === undefined ? undefined : moment(since, io.now(), -1);
    const broker = brokerFor(io, command);
    const chosen = integration === undefined ? ids : await deadSince(broker, integration, from);
    const counts = await retryAll(broker, chosen);
    const { tried, active, still_dead, failed } = counts;
    const summary = `${tried} tried: ${active} active again, ${still_dead} still need their owner, ${failed} failed`;
    printer(io, globalsOf(command).json).answer(counts, summary);
    if (failed > 0) throw new Failure(`${failed} could not be tried to the end; run the command again`);
  });

  async function deadSince(broker: Broker, integration: string, from: string | undefined): Promise<string[]> {
    const found: string[] = [];
    for await (const row of broker.all('/v1/connections', { integration, status: 'needs_reauth' }))
      if (from === undefined || Date.parse(String(row.updated_at)) >= Date.parse(from)) found.push(String(row.id));
    return found;
  }

  async function retryAll(broker: Broker, ids: string[]): Promise<Counts> {
    const counts: Counts = { tried: 0, active: 0, still_dead: 0, failed: 0 };
    const never = new AbortController().signal;
    for (const id of ids) {
      if (counts.tried > 0) await io.pause(PAUSE_MS, never);
      counts[await retryOne(broker, id)]++;
      counts.tried++;
      if (counts.tried % PROGRESS_EVERY === 0) io.note(`${counts.tried} of ${ids.length} tried`);
    }
    return counts;
  }

  async function retryOne(broker: Broker, id: string): Promise<'active' | 'still_dead' | 'failed'> {
    try {
      await broker.ask('POST', `/v1/connections/${part(id)}/retry`);
      return 'active';
    } catch (error) {
      const problem: Json | undefined = error instanceof Failure ? error.problem : undefined;
      // Without an answer of the broker, the others would fail as well.
      if (problem === undefined) throw error;
      if (problem.code === 'reauthorization_required') return 'still_dead';
      io.note(visibleText(`${id}: ${problem.title}: ${problem.detail}`));
      return 'failed';
    }
  }
}
