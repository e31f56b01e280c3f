// `signals`: list, show. What they tell is in `webhooks`; they are set with the integration, by `apply` or the API.
import type { Command } from 'commander';
import { type Broker, brokerFor, globalsOf, type Json, part } from './broker.ts';
import { example } from './example.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  INTEGRATION: (s) => s.integration,
  URL: (s) => s.url,
  LOGOUT_URL: (s) => s.logout_url,
  ISSUER: (s) => s.issuer,
  POLL_URL: (s) => s.poll_url,
};

export function signalCommands(program: Command, io: Io): void {
  const signals = program
    .command('signals')
    .description('look at where integrations receive security events and logouts: list, show');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = signals
    .command('list')
    .description('list the integrations that receive signals, with the URLs to enter at their transmitters');
  example(list, 'valetkey signals list').action(async (_, command: Command) => {
    await print(command).list(COLUMNS, receiving(brokerFor(io, command)));
  });

  const show = signals
    .command('show')
    .argument('<integration>')
    .description('show how an integration receives signals');
  example(show, 'valetkey signals show acme').action(async (id: string, _, command: Command) => {
    const { signals: found } = await brokerFor(io, command).ask('GET', `/v1/integrations/${part(id)}`);
    if (!found) throw new Failure(`${id} receives no signals: its provider has no issuer`);
    await print(command).one({ integration: id, ...(found as Json) });
  });
}

async function* receiving(broker: Broker): AsyncGenerator<Json> {
  for await (const { id, signals } of broker.all('/v1/integrations'))
    if (signals) yield { integration: id, ...(signals as Json) };
}
