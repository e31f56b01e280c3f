// `unreadable-responses`: what token endpoints answered, and no token was found in. On the machine of the database and the
// keys only: a body may hold tokens, and never crosses the network.
import type { Command } from 'commander';
import { visibleText } from '../domain/visible-text.ts';
import { globalsOf, type Json } from './broker.ts';
import { example } from './example.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

type Listing = Parameters<typeof import('../runtime/commands.ts').listUnreadableResponses>[1];
type Head = Parameters<Listing>[0] extends AsyncIterable<infer H> ? H : never;

const COLUMNS: Columns = {
  ID: (r) => r.id,
  INTEGRATION: (r) => r.integration,
  CONNECTION: (r) => r.connection_id,
  SESSION: (r) => r.session_id,
  STATUS: (r) => r.status,
  'CONTENT TYPE': (r) => r.content_type,
  EXTENT: (r) => r.extent,
  RECEIVED: (r) => r.received_at,
};

export function unreadableResponseCommands(program: Command, io: Io): void {
  const responses = program
    .command('unreadable-responses')
    .description('responses of token endpoints in which no token was found, kept encrypted for a day: list, read');

  const list = responses
    .command('list')
    .description('list them, newest first, without their bodies')
    .option('--integration <id>', 'only of this integration');
  example(list, 'valetkey unreadable-responses list --integration acme').action(
    async ({ integration }: { integration?: string }, command: Command) => {
      const commands = await import('../runtime/commands.ts');
      const print = printer(io, globalsOf(command).json);
      await commands.listUnreadableResponses(integration, (heads) => print.list(COLUMNS, rowsOf(heads)));
    },
  );

  const read = responses
    .command('read')
    .argument('<id>')
    .description('print the body of one of them, which may hold tokens; the audit log has that it was read');
  example(read, 'valetkey unreadable-responses read unr_01k…').action(async (id: string, _, command: Command) => {
    const commands = await import('../runtime/commands.ts');
    await commands.readUnreadableResponse(id, (found) => {
      if (!found) throw new Failure(`there is no unreadable response ${id}, or it is older than a day`);
      // To a file as it is; a terminal would obey what is in it.
      const text = io.outIsTty ? found.text.split('\n').map(visibleText) : found.text;
      printer(io, globalsOf(command).json).answer({ ...rowOf(found), body: found.text }, text);
    });
  });
}

async function* rowsOf(heads: AsyncIterable<Head>): AsyncIterable<Json> {
  for await (const head of heads) yield rowOf(head);
}

const rowOf = (head: Head): Json => ({
  id: head.id,
  integration: head.integration,
  connection_id: head.connectionId,
  session_id: head.sessionId,
  status: head.status,
  content_type: head.contentType,
  extent: head.extent,
  received_at: new Date(head.receivedAt).toISOString(),
});
