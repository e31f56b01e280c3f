// `integrations`. Secrets come from the environment, a file or stdin: other users of the machine can see arguments.
import { type Command, InvalidArgumentError } from 'commander';
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
  requireFinish?: true;
  rate?: { requests: number; window: number; per?: string };
}

export function integrationCommands(program: Command, io: Io): void {
  const integrations = program.command('integrations').description('manage integrations: list, show, put, delete');
  const print = (command: Command) => printer(io, globalsOf(command).json);

  const list = integrations.command('list').description('list the integrations that the caller may see');
  example(list, 'valetkey integrations list').action(async (_, command: Command) => {
    await print(command).list(COLUMNS, brokerFor(io, command).all('/v1/integrations'));
  });

  const show = integrations.command('show').argument('<id>').description('show an integration, without its secrets');
  example(show, 'valetkey integrations show acme').action(async (id: string, _, command: Command) => {
    await print(command).one(await brokerFor(io, command).ask('GET', `/v1/integrations/${part(id)}`));
  });

  const put = integrations
    .command('put')
    .argument('<id>', 'an id of your choice: lower-case letters, digits, - and _')
    .description('create or replace an integration; secrets that are not given stay')
    .requiredOption('--provider <id>', 'a provider of the catalogue; see: valetkey providers list')
    .option('--client-id <id>', 'the client id at the provider')
    .option('--client-secret-env <name>', 'read the client secret from this environment variable')
    .option('--client-secret-stdin', 'read the client secret from stdin')
    .option('--private-key-file <file>', 'the private key, as PEM')
    .option('--key-id <id>', 'the id of the private key at the provider')
    .option('--certificate-file <file>', 'the certificate for mutual TLS, as PEM')
    .option('--scope <scope>', 'request this scope instead of the defaults of the provider; repeatable', several)
    .option('--param <name=value>', 'an integration parameter of the provider; repeatable', pairs)
    .option('--override <name=url>', 'replace an endpoint, such as token_url; repeatable', pairs)
    .option('--return-origin <origin>', 'an allowed origin of return_url; repeatable', several)
    .option('--require-finish', 'create connect sessions only with finish: the app says who is signed in')
    .option(
      '--rate <requests/seconds[/per]>',
      'how often its API is called through the proxy: 600/60/connection',
      rateOf,
    );
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
      require_finish: options.requireFinish,
      rate: options.rate,
    });
    await print(command).one(await brokerFor(io, command).ask('PUT', `/v1/integrations/${part(id)}`, setup));
  });

  const remove = integrations
    .command('delete')
    .argument('<id>')
    .description('delete an integration without live connections');
  example(remove, 'valetkey integrations delete acme').action(async (id: string, _, command: Command) => {
    await brokerFor(io, command).ask('DELETE', `/v1/integrations/${part(id)}`);
    print(command).answer({ id, deleted: true }, 'deleted');
  });

  async function secretOf({ clientSecretEnv: name, clientSecretStdin }: PutOptions): Promise<string | undefined> {
    if (name !== undefined && clientSecretStdin)
      throw misused('give --client-secret-env or --client-secret-stdin, not both');
    if (name !== undefined) return io.env[name] || fail(`${name} is not set in the environment`);
    if (!clientSecretStdin) return undefined;
    return (await io.input()).replace(/\r?\n$/, '') || fail('stdin is empty: no secret given');
  }
}

/** `600/60`, or with whose calls are counted together: `600/60/connection`. */
function rateOf(text: string): NonNullable<PutOptions['rate']> {
  const [, requests, window, per] = /^(\d{1,9})\/(\d{1,5})(?:\/([a-z]+))?$/.exec(text) ?? [];
  if (window === undefined) throw new InvalidArgumentError('It must be REQUESTS/SECONDS, such as 600/60.');
  return { requests: Number(requests), window: Number(window), ...(per !== undefined && { per }) };
}

function fail(message: string): never {
  throw new Failure(message);
}
