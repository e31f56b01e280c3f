// What of the audit log is asked for: the filters of the API, as a form has them.
import { AuditQuery } from '../../../../api/index.ts';
import type { AuditFilter } from '../../../../ports/index.ts';
import { type Issues, issuesOf } from '../../parts/fields.ts';

export const FILTERS = [
  ...['integration', 'owner', 'connection_id', 'actor', 'action', 'outcome', 'session', 'request_id', 'from', 'to'],
] as const;

export interface AskedEntries {
  filter: AuditFilter;
  cursor: string | undefined;
  /** The filters that are set: they stay from page to page. */
  query: URLSearchParams;
  issues: Issues;
}

/** Fields for times have neither seconds nor a zone: they are in UTC. */
const instant = (text: string): string =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?$/.test(text) ? `${text.length === 16 ? `${text}:00` : text}Z` : text;

export function askedEntries(params: URLSearchParams): AskedEntries {
  const query = new URLSearchParams();
  for (const name of FILTERS) {
    const given = params.get(name);
    // Spaces are a part of an owner.
    const value = name === 'owner' ? given : given?.trim();
    if (value) query.set(name, value);
  }
  const cursor = params.get('cursor') ?? undefined;
  const asked = Object.fromEntries(
    [...query].map(([name, value]) => [name, name === 'from' || name === 'to' ? instant(value) : value]),
  );
  const parsed = AuditQuery.safeParse(asked);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
    return { filter: {}, cursor, query, issues: issuesOf(issues, FILTERS) };
  }
  const { connection_id: connectionId, request_id: requestId, from, to, limit: _, cursor: __, ...rest } = parsed.data;
  const ms = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text));
  const filter = { ...rest, connectionId, requestId, from: ms(from), to: ms(to) };
  return { filter, cursor, query, issues: new Map() };
}
