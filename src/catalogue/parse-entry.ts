// Parses and checks one entry. A bundle, whose entries are parsed, loads this where the deployment has some of its own.
import type { Provider } from '../domain/provider.ts';
import { Provider as ProviderSchema } from '../domain/provider-schema.ts';
import { entryIssues } from './check.ts';
import { type RawEntry, resolveExtends } from './extend.ts';

export type Entry = { provider: Provider } | { issues: string[] };

/** `raws`: all entries that it may extend. */
export function parseEntry(raw: RawEntry, id: string, raws: ReadonlyMap<string, RawEntry>): Entry {
  const resolved = resolveExtends(raw, raws);
  if (typeof resolved === 'string') return { issues: [resolved] };
  // Each file is parsed once per start: compiling the parser would cost more.
  const parsed = ProviderSchema.safeParse(resolved, { jitless: true });
  if (!parsed.success)
    return { issues: parsed.error.issues.map((issue) => `${fieldPath(issue.path)}: ${issue.message}`) };
  const issues = entryIssues(parsed.data, id);
  return issues.length > 0 ? { issues } : { provider: parsed.data };
}

const fieldPath = (path: readonly PropertyKey[]): string =>
  path.length === 0
    ? 'the file'
    : path
        .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`))
        .join('');
