// `providers`: the catalogue, including the entries of VALETKEY_PROVIDERS_DIR. Needs no broker.
import type { Command } from 'commander';
import { visibleJson } from '../domain/visible-text.ts';
import { globalsOf } from './broker.ts';
import { example } from './example.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { type Columns, printer } from './output.ts';

const COLUMNS: Columns = {
  ID: (p) => p.id,
  NAME: (p) => p.name,
  CATEGORY: (p) => p.category,
  MODES: (p) => p.modes,
};

export function providerCommands(program: Command, io: Io): void {
  const dirs = io.env.VALETKEY_PROVIDERS_DIR ? [io.env.VALETKEY_PROVIDERS_DIR] : [];

  async function readCatalogue() {
    const { loadCatalogue } = await import('../catalogue/load.ts');
    const catalogue = loadCatalogue(dirs);
    if (!catalogue.ok) throw new Failure(['the catalogue is not valid:', ...indented(catalogue.issues)].join('\n'));
    return catalogue.providers;
  }

  const providers = program.command('providers').description('read the provider catalogue: list, show, check');

  const list = providers.command('list').description('list all providers');
  example(list, 'valetkey providers list').action(async (_, command: Command) => {
    const rows = [...(await readCatalogue()).values()].map(({ id, name, category, auth, confidence }) => {
      const modes = auth.map(({ mode, variant }) => variant ?? mode).join(',');
      return { id, name, category, modes, confidence };
    });
    await printer(io, globalsOf(command).json).list(COLUMNS, rows);
  });

  const show = providers
    .command('show')
    .argument('<id>')
    .description('explain a provider: parameters, credentials, refresh, revocation');
  example(show, 'valetkey providers show generic-oidc').action(async (id: string, _, command: Command) => {
    const provider = (await readCatalogue()).get(id);
    if (!provider) throw new Failure(`there is no provider "${id}"; see: valetkey providers list`);
    const { explain } = await import('../catalogue/explain.ts');
    printer(io, globalsOf(command).json).answer(provider, explain(provider));
  });

  const check = providers
    .command('check')
    .argument('<file>', 'a JSON file')
    .description('validate a catalogue entry, and list its errors');
  example(check, 'valetkey providers check ./providers/acme.json').action(async (file: string, _, command: Command) => {
    const { json } = globalsOf(command);
    const { checkFile } = await import('../catalogue/load.ts');
    const checked = checkFile(file, dirs);
    if ('provider' in checked) {
      const { explain } = await import('../catalogue/explain.ts');
      const words = ['The entry is valid:', '', ...explain(checked.provider)];
      return printer(io, json).answer({ valid: true, issues: [] }, words);
    }
    const { issues } = checked;
    if (!json) throw new Failure([`${file} is not a valid catalogue entry:`, ...indented(issues)].join('\n'));
    io.out(visibleJson(JSON.stringify({ valid: false, issues })));
    throw new Failure('');
  });
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);
