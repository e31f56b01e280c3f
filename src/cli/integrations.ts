// Integrations. Their secrets come from the environment, a file or stdin: arguments can be seen by others on the machine.
import type { Command } from 'commander';
import { brokerFor, globalsOf, part } from './broker.ts';
import { example } from './example.ts';
import { Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { given, pairs, readText, several } from './options.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (i) => i.id,
  PROVIDER: (i) => i.provider,
  CLIENT: (i) => i.client_id,
  SECRET: (i) => (i.client_secret_set || i.private_key_set ? 'set' : '-'),
  SCOPES: (i) => i.scopes,
};

interface PutOptions {
  provider: string;
  clientId?: string;
  clientSecretEnv?: string;
  clientSecretStdin?: boolean;
  privateKeyFile?: string;
  keyId?: string;
  certificateFile?: string;
  scope?: string[];
  param?: Record<string, string>;
  override?: Record<string, string>;
  returnOrigin?: string[];
}

export function integrationCommands(program: Command, io: Io): void {
  const integrations = program.command('integrations').description('list, show, put, delete');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = integrations.command('list').description('those within the grants of the caller');
  example(list, 'valetkey integrations list').action(async (_, command: Command) => {
    await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/integrations'));
  });

  const show = integrations.command('show').argument('<id>').description('one, without its secrets');
  example(show, 'valetkey integrations show acme').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('GET', `/v1/integrations/${part(id)}`));
  });

  const put = integrations
    .command('put')
    .argument('<id>', 'a slug of your choice')
    .description('create or replace one; secrets that are not given stay')
    .requiredOption('--provider <id>', 'of the catalogue: valetkey providers list')
    .option('--client-id <id>')
    .option('--client-secret-env <name>', 'the secret is in this variable of the environment')
    .option('--client-secret-stdin', 'the secret is on stdin')
    .option('--private-key-file <file>', 'PEM')
    .option('--key-id <id>', "the private key's id at the provider")
    .option('--certificate-file <file>', 'PEM; for mutual TLS')
    .option('--scope <scope>', "not the provider's default ones; several times", several)
    .option('--param <name=value>', 'what the provider asks of a deployment; several times', pairs)
    .option('--override <name=url>', 'another endpoint, such as token_url; several times', pairs)
    .option('--return-origin <origin>', 'an origin that a return_url may have; several times', several);
  example(
    put,
    'valetkey integrations put acme --provider generic-oidc --param issuer=https://id.example.com --client-id me --client-secret-env ACME_SECRET',
  ).action(async (id: string, options: PutOptions, command: Command) => {
    const setup = given({
      provider: options.provider,
      client_id: options.clientId,
      client_secret: await secretOf(options),
      private_key: options.privateKeyFile && readText(options.privateKeyFile),
      key_id: options.keyId,
      certificate: options.certificateFile && readText(options.certificateFile),
      scopes: options.scope,
      params: options.param,
      overrides: options.override,
      return_origins: options.returnOrigin,
    });
    await print(command).one(await brokerFor(io, command).ask('PUT', `/v1/integrations/${part(id)}`, setup));
  });

  const remove = integrations.command('delete').argument('<id>').description('delete one that nothing uses any more');
  example(remove, 'valetkey integrations delete acme').action(async (id: string, _, command: Command) => {
    await brokerFor(io, command).ask('DELETE', `/v1/integrations/${part(id)}`);
    print(command).answer({ id, deleted: true }, 'deleted');
  });

  async function secretOf({ clientSecretEnv: name, clientSecretStdin }: PutOptions): Promise<string | undefined> {
    if (name !== undefined && clientSecretStdin)
      throw misused('give --client-secret-env or --client-secret-stdin, not both');
    if (name !== undefined) return io.env[name] || fail(`${name} is not set in the environment`);
    if (!clientSecretStdin) return undefined;
    return (await io.input()).replace(/\r?\n$/, '') || fail('there is no secret on stdin');
  }
}

function fail(message: string): never {
  throw new Failure(message);
}
