#!/usr/bin/env node
// The command line: starts and prepares a broker here, and speaks over HTTP with one that runs.
import { parseArgs } from 'node:util';

const USAGE = `valetkey <command>

On this machine, configured by the environment (VALETKEY_…):
  serve                           run the broker
  migrate                         bring the database up to date, and stop
  keys generate [--kid ID]        print a new key for VALETKEY_KEYS
  keys rotate                     seal every secret anew with the first key of VALETKEY_KEYS
  providers list                  the catalogue, with the entries of VALETKEY_PROVIDERS_DIR
  providers show ID               an entry in words
  providers check FILE            whether a file is a valid entry, and what is wrong with it

With a running broker, at VALETKEY_URL (default http://127.0.0.1:8080) with the key VALETKEY_KEY:
  callers create --name NAME --action A… [--integration I…] [--owner O…]
                                  admit an internal service; prints its key, once
  connections list [--integration I] [--owner O] [--status S]
  connections revoke ID           revoke one, here and at the provider
  connections revoke --integration I | --owner O
                                  revoke all of an integration, an owner, or both

  --json                          print the broker's answer as it is
`;

const OPTIONS = {
  action: { type: 'string', multiple: true },
  integration: { type: 'string', multiple: true },
  owner: { type: 'string', multiple: true },
  status: { type: 'string' },
  name: { type: 'string' },
  kid: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof parse>['values'];
const parse = (args: string[]) => parseArgs({ args, options: OPTIONS, allowPositionals: true });

/** Something that the person at the keyboard can mend. */
class CommandError extends Error {}

const commands: Record<string, (values: Values, rest: string[]) => Promise<void>> = {
  async serve() {
    const { main } = await import('./main.ts');
    await main();
  },

  async migrate() {
    const { migrate } = await import('./main.ts');
    await migrate();
  },

  async 'keys generate'({ kid }) {
    const { generateKey } = await import('./app.ts');
    console.log(generateKey(kid));
  },

  async 'keys rotate'({ json }) {
    const { rotate } = await import('./main.ts');
    await rotate({ json: json ?? false });
  },

  async 'providers list'({ json }) {
    const { providers } = await readCatalogue();
    for (const { id, name, category, auth, confidence } of providers.values()) {
      const modes = auth.map(({ mode, variant }) => variant ?? mode).join(',');
      console.log(
        json ? JSON.stringify({ id, name, category, modes, confidence }) : [id, name, category, modes].join('\t'),
      );
    }
  },

  async 'providers show'({ json }, [id = '']) {
    const { providers } = await readCatalogue();
    const provider = providers.get(id);
    if (!provider) throw new CommandError(`there is no provider "${id}"; see: valetkey providers list`);
    const { explain } = await import('./catalogue/explain.ts');
    console.log(json ? JSON.stringify(provider, null, 2) : explain(provider).join('\n'));
  },

  async 'providers check'({ json }, [file]) {
    if (!file) throw new CommandError('providers check needs the path of a JSON file');
    const { checkFile } = await import('./catalogue/load.ts');
    const checked = checkFile(file, providersDirs());
    const issues = 'issues' in checked ? checked.issues : [];
    if (json) console.log(JSON.stringify({ valid: issues.length === 0, issues }));
    else if ('provider' in checked) {
      const { explain } = await import('./catalogue/explain.ts');
      console.log(['It is valid, and says:', '', ...explain(checked.provider)].join('\n'));
    }
    if (issues.length > 0 && !json)
      throw new CommandError([`${file} is not a valid entry:`, ...issues.map((i) => `  ${i}`)].join('\n'));
    if (issues.length > 0) process.exitCode = 1;
  },

  async 'callers create'({ name, action, integration, owner, json }) {
    if (!name || !action) throw new CommandError('callers create needs --name and at least one --action');
    const grant = { actions: action, integrations: integration ?? ['*'], owners: owner ?? ['*'] };
    const caller = await ask('POST', '/v1/callers', { name, grants: [grant] });
    console.log(json ? JSON.stringify(caller) : `${caller.id}\n${caller.key}`);
  },

  async 'connections list'({ integration, owner, status, json }) {
    const query = new URLSearchParams({ limit: '500' });
    for (const [key, value] of Object.entries({ integration: integration?.[0], owner: owner?.[0], status })) {
      if (value !== undefined) query.set(key, value);
    }
    for (let more = true; more; ) {
      const page = await ask('GET', `/v1/connections?${query}`);
      for (const c of page.data as Record<string, string | null>[]) {
        console.log(
          json
            ? JSON.stringify(c)
            : [c.id, c.integration, c.owner, c.label ?? '-', c.status, c.reason ?? ''].join('\t'),
        );
      }
      more = page.next_cursor !== null;
      if (more) query.set('cursor', String(page.next_cursor));
    }
  },

  async 'connections revoke'({ integration, owner, json }, [id]) {
    if (!id && !integration && !owner)
      throw new CommandError('connections revoke needs an id, --integration or --owner');
    const answer = id
      ? await ask('DELETE', `/v1/connections/${encodeURIComponent(id)}`)
      : await ask('POST', '/v1/connections/revoke', { integration: integration?.[0], owner: owner?.[0] });
    const told = id ? `revoked; at the provider: ${answer.upstream_revocation}` : `${answer.revoked} revoked`;
    console.log(json ? JSON.stringify(answer) : told);
  },
};

const providersDirs = (): string[] => (process.env.VALETKEY_PROVIDERS_DIR ? [process.env.VALETKEY_PROVIDERS_DIR] : []);

async function readCatalogue() {
  const { loadCatalogue } = await import('./catalogue/load.ts');
  const catalogue = loadCatalogue(providersDirs());
  if (!catalogue.ok)
    throw new CommandError(['the catalogue has faults:', ...catalogue.issues.map((i) => `  ${i}`)].join('\n'));
  return catalogue;
}

async function ask(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const url = process.env.VALETKEY_URL ?? 'http://127.0.0.1:8080';
  const key = process.env.VALETKEY_KEY ?? process.env.VALETKEY_ADMIN_KEY;
  if (!key) throw new CommandError('set VALETKEY_KEY to a caller key (or VALETKEY_ADMIN_KEY)');
  let response: Response;
  try {
    response = await fetch(new URL(path, url), {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch {
    throw new CommandError(`no broker answers at ${url}; set VALETKEY_URL, or start one with: valetkey serve`);
  }
  const answer = (await response.json().catch(() => undefined)) as Record<string, unknown> | undefined;
  if (!answer) throw new CommandError(`what answers at ${url} is no broker (status ${response.status})`);
  if (response.ok) return answer;
  const issues = (answer.issues as { path: string; message: string }[] | undefined) ?? [];
  const lines = [`${answer.title}: ${answer.detail}`, ...issues.map((i) => `  ${i.path}: ${i.message}`)];
  throw new CommandError(lines.join('\n'));
}

async function run(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [first = '', second = ''] = positionals;
  const named = [first, `${first} ${second}`].find((name) => Object.hasOwn(commands, name));
  if (values.help || named === undefined) {
    if (!values.help && first) console.error(`There is no command "${positionals.join(' ')}".\n`);
    console.log(USAGE);
    process.exitCode = values.help || !first ? 0 : 64;
    return;
  }
  await commands[named]!(values, positionals.slice(named.split(' ').length));
}

try {
  await run(process.argv.slice(2));
} catch (error) {
  const known = error instanceof CommandError || (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS');
  if (!known) throw error;
  console.error((error as Error).message);
  process.exitCode = 1;
}
