// `apply`: applies a declarative file to a running broker. Shows the changes, asks for confirmation, then applies them.
import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import type { Command } from 'commander';
import type { z } from 'zod';
import type { Applied as AppliedSchema } from '../api/index.ts';
import { visibleText } from '../domain/visible-text.ts';
import { inWords as placeInWords, readDeclared } from '../runtime/declarative-file.ts';
import { deletionOf, inWords, notInFile } from './apply-prune.ts';
import { type Broker, brokerFor, globalsOf, type Json, listOf } from './broker.ts';
import { confirm } from './confirmation.ts';
import { example } from './example.ts';
import { EXIT, Failure, misused } from './failure.ts';
import type { Io } from './io.ts';
import { readText } from './options.ts';
import { printer } from './output.ts';

type Applied = z.infer<typeof AppliedSchema>;

interface Options {
  file: string;
  dryRun?: boolean;
  exitCode?: boolean;
  prune?: boolean;
  yes?: boolean;
}

export function applyCommand(program: Command, io: Io): void {
  const apply = program
    .command('apply')
    .description('apply a declarative file of integrations and callers; shows the changes and asks first')
    .requiredOption(
      '-f, --file <file>',
      `the file, as for VALETKEY_CONFIG, with secrets as \${ENV_NAME}; - reads stdin`,
    )
    .option('--dry-run', 'show the changes, apply nothing')
    .option('--exit-code', `with --dry-run: exit with ${EXIT.changes} if there are changes`)
    .option('--prune', 'delete the integrations and callers that are not in the file')
    .option('-y, --yes', 'apply without confirmation');
  example(
    apply,
    'valetkey apply -f valetkey.json --dry-run',
    'valetkey apply -f valetkey.json --yes',
    'valetkey apply -f valetkey.json --prune',
  ).action(async (options: Options, command: Command) => {
    const { file, dryRun = false, exitCode = false, prune: isPruned = false, yes = false } = options;
    if (exitCode && !dryRun) throw misused('--exit-code needs --dry-run');
    const named = filledIn(file === '-' ? await io.input() : readText(file), file, io.env);
    const broker = brokerFor(io, command);
    const { json, answer } = printer(io, globalsOf(command).json);

    const surplus = await notInFile(broker, named);
    const doomed = isPruned ? surplus : [];
    // By name, in the same transaction: what someone else adds until it is applied is not deleted.
    const declared = doomed.length > 0 ? { ...named, delete: deletionOf(doomed) } : named;
    const planned = await post(broker, declared, true);
    for (const name of planned.needs_restart)
      io.note(`${name}: differs from the running broker; takes effect when it is restarted with VALETKEY_CONFIG`);
    if (!isPruned) for (const one of surplus) io.note(`not in the file: ${inWords(one)}; --prune deletes it`);
    const full = { ...planned, not_in_file: surplus };
    const lines = inLines(planned, io.color);
    const none = planned.changes.length === 0;
    if (none || dryRun) answer(full, none ? 'nothing to change' : lines);
    if (none) return;
    if (dryRun && exitCode) throw new Failure('', EXIT.changes);
    if (dryRun) return;

    if (!json) for (const line of lines) io.out(line);
    if (!yes) {
      const deletes = doomed.length > 0 ? `, and delete ${doomed.length}` : '';
      await confirm(io, { question: `Apply these changes${deletes}? [y/N] `, otherwise: 'nothing was applied', json });
    }
    const applied = await post(broker, declared, false);
    const deleted = isPruned ? `, ${applied.changes.filter(({ action }) => action === 'delete').length} deleted` : '';
    answer({ ...applied, not_in_file: surplus, deleted: doomed }, `applied: ${inNumbers(applied)}${deleted}`);
  });
}

function filledIn(text: string, file: string, env: Io['env']): Json {
  const read = readDeclared(text, env, (path) => readFileSync(path, 'utf8'));
  if (!read.ok) throw new Failure(`${file}: ${read.why}`);
  if (typeof read.value !== 'object' || read.value === null || Array.isArray(read.value))
    throw new Failure(`${file}: not a JSON object`);
  const { $schema: _, ...declared } = read.value as Json;
  if ('delete' in declared)
    throw new Failure(`${file}: delete: is no member of the file; --prune deletes what is not in it`);
  const missing = read.unset.map(({ at, why }) => `  ${placeInWords(at, declared)}: ${why}`);
  if (missing.length > 0) throw new Failure([`${file}: values are missing:`, ...missing].join('\n'));
  return declared;
}

async function post(broker: Broker, declared: Json, dryRun: boolean): Promise<Applied> {
  try {
    const answer = await broker.ask('POST', '/v1/apply', { ...declared, dry_run: dryRun });
    listOf(answer, 'changes');
    return answer as Applied;
  } catch (error) {
    const { issues, code: problemCode, detail } = (error instanceof Failure && error.problem) || {};
    if (problemCode === 'integration_in_use')
      throw new Failure(`Nothing was applied: ${detail}`, (error as Failure).code, (error as Failure).problem);
    if (!Array.isArray(issues)) throw error;
    const lines = (issues as { path: string; message: string }[]).map(
      ({ path, message }) => `  ${placeInWords(path, declared)}: ${message}`,
    );
    const { code, problem } = error as Failure;
    throw new Failure(['Nothing was applied:', ...lines].join('\n'), code, problem);
  }
}

type Style = 'green' | 'yellow' | 'red';
const inStyle = (color: boolean, style: Style, text: string) =>
  color ? styleText(style, text, { validateStream: false }) : text;

function inLines({ changes }: Applied, color: boolean): string[] {
  const styled = (style: Style, text: string) => inStyle(color, style, text);
  return changes.flatMap(({ kind, id, name, action, fields }) => [
    styled(ACTION_COLORS[action], [action, kind, id, name && `(${visibleText(name)})`].filter(Boolean).join(' ')),
    ...fields.map((field) => {
      if ('secret' in field) return styled(COLORS[field.secret], `  ${field.path}: ${field.secret}`);
      const [before, after] = [field.before, field.after].map((value) => (value === null ? null : shown(value)));
      if (before === null) return styled('green', `  ${field.path}: ${after}`);
      return styled(after === null ? 'red' : 'yellow', `  ${field.path}: ${before} → ${after ?? '(none)'}`);
    }),
  ]);
}

const ACTION_COLORS = { create: 'green', update: 'yellow', delete: 'red' } as const;
const COLORS = { set: 'green', changed: 'yellow', removed: 'red' } as const;

const shown = (value: unknown): string => visibleText(typeof value === 'string' ? value : JSON.stringify(value));

function inNumbers({ changes }: Applied): string {
  const count = (wanted: string) => changes.filter(({ action }) => action === wanted).length;
  return `${count('create')} created, ${count('update')} updated`;
}
