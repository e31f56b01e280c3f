// `call`: a call to the API of a connection, through the broker: its token is not seen here.
import { openAsBlob } from 'node:fs';
import type { Command } from 'commander';
import { requirePath } from '../client/api-links.ts';
import { ValetkeyError } from '../client/errors.ts';
import { type ConnectionSelector, proxyRoute } from '../client/paths.ts';
import { brokerFor } from './broker.ts';
import { example } from './example.ts';
import { EXIT, Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { several, wholeNumber } from './options.ts';

interface Options {
  integration?: string;
  owner?: string;
  label?: string;
  header?: string[];
  data?: string;
  host?: string;
  retry?: number;
  maxWait?: number;
  include?: boolean;
}

export function callCommand(program: Command, io: Io): void {
  const call = program
    .command('call')
    .description('call the API of a connection through the broker, without its token; prints the body of the answer')
    .argument('[connection]', 'its id; left out with --integration and --owner')
    .argument('[method]', 'default GET, with --data POST')
    .argument('[path]', 'below the base URL of the API, with its query')
    .option('--integration <id>', 'the connection of an owner at this integration')
    .option('--owner <owner>', 'whose account it is')
    .option('--label <label>', "the label of the connection; '' means the one without a label")
    .option('-H, --header <name: value>', 'send this header; repeatable', several)
    .option('-d, --data <body>', 'send this body, as JSON unless a Content-Type is given; @FILE a file, - stdin')
    .option('--host <alias>', 'another host of the API')
    .option('--retry <times>', 'repeat the call so often, 0 to 5, where that is safe', wholeNumber)
    .option('--max-wait <seconds>', 'wait so long for a limit of the API, 0 to 300', wholeNumber)
    .option('-i, --include', 'print the status and the headers of the answer first');
  example(
    call,
    'valetkey call con_01k… GET /user',
    `valetkey call --integration acme --owner user_42 POST /issues -d '{"title":"Broken"}'`,
  ).action(async (...args: [string | undefined, string | undefined, string | undefined, Options, Command]) => {
    const [first, second, third, options, command] = args;
    const { connection, words } = selected([first, second, third], options);
    const [method, path] = words.length === 1 ? [options.data === undefined ? 'GET' : 'POST', words[0]!] : words;
    if (method === undefined || path === undefined || !/^[A-Za-z-]{1,32}$/.test(method)) throw misused(USAGE);
    const { target, headers } = routeOf(connection, path);
    for (const line of options.header ?? []) addHeader(headers, line);
    if (options.host !== undefined) addHeader(headers, `valetkey-host: ${options.host}`);
    if (options.retry !== undefined) headers.set('valetkey-retry', String(options.retry));
    if (options.maxWait !== undefined) headers.set('valetkey-max-wait', String(options.maxWait));
    const body = options.data === undefined ? undefined : await bodyOf(options.data, io);
    if (body !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
    const init = {
      method: method.toUpperCase(),
      headers,
      signal: io.interrupted(),
      ...(body !== undefined && { body }),
    };
    const response = await brokerFor(io, command).call(target, init);
    if (options.include) for (const line of headOf(response)) io.out(line);
    await print(response, io);
    if (response.headers.get('valetkey-rate-limited') === 'true')
      io.note('This answer says that the API limits calls.');
    if (response.status >= 400) throw new Failure(`the API answered with status ${response.status}`, EXIT.refused);
  });
}

const USAGE = 'call needs CONNECTION METHOD PATH, or --integration ID --owner OWNER METHOD PATH';

/** The connection, and what is left of the arguments. */
function selected(
  given: readonly (string | undefined)[],
  { integration, owner, label }: Options,
): { connection: ConnectionSelector; words: string[] } {
  const words = given.filter((word) => word !== undefined);
  if (integration === undefined && owner === undefined) {
    if (words.length < 2 || label !== undefined) throw misused(USAGE);
    return { connection: { connection: words[0]! }, words: words.slice(1) };
  }
  if (integration === undefined || owner === undefined || words.length > 2) throw misused(USAGE);
  return { connection: { integration, owner, ...(label !== undefined && { label }) }, words };
}

function routeOf(connection: ConnectionSelector, path: string): { target: string; headers: Headers } {
  try {
    requirePath(path);
    const route = proxyRoute(connection);
    return { target: route.path + path, headers: new Headers(route.headers) };
  } catch (error) {
    throw error instanceof ValetkeyError ? misused(error.detail) : error;
  }
}

function addHeader(headers: Headers, line: string): void {
  const at = line.indexOf(':');
  try {
    if (at < 1) throw new TypeError('no name');
    headers.append(line.slice(0, at).trim(), line.slice(at + 1).trim());
  } catch {
    throw misused('--header must be NAME: VALUE');
  }
}

async function bodyOf(data: string, io: Io): Promise<string | Blob | Uint8Array<ArrayBuffer>> {
  if (data === '-') return io.inputBytes();
  if (!data.startsWith('@')) return data;
  const file = data.slice(1);
  try {
    return await openAsBlob(file);
  } catch {
    throw new Failure(`${file} cannot be read`);
  }
}

function headOf({ status, statusText, headers }: Response): string[] {
  const lines = [...headers].map(([name, value]) => `${name}: ${value}`);
  return [`HTTP ${status} ${statusText}`.trimEnd(), ...lines, ''];
}

/** The body, as it comes. */
async function print({ body }: Response, io: Io): Promise<void> {
  let end: number | undefined;
  try {
    for await (const chunk of body ?? []) {
      end = chunk.at(-1);
      await io.write(chunk);
    }
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw new Failure('interrupted', EXIT.interrupted);
    throw new Failure('the answer of the API broke off', EXIT.refused);
  }
  if (io.outIsTty && end !== undefined && end !== 10) io.out('');
}
