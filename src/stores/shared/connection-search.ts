// Searches for connections: the parts of indexes that have what is looked for, whatever order the list has.
import type { ConnectionFilter } from '../../ports/index.ts';
import { afterPrefix } from './narrow-scopes.ts';

/** One part of one index. `from` and `to` (undefined: to its end): texts with a prefix. Times are ms. */
export type SearchTerm =
  | { by: 'id' | 'accountId'; text: string }
  | { by: 'owner' | 'label' | 'accountName'; from: string; to: string | undefined }
  | { by: 'refreshDue'; integration: string; before: number }
  | { by: 'grantEnd'; before: number };

/** Those that the narrow rows beside the leases have. */
export type TimeTerm = Extract<SearchTerm, { before: number }>;
export const isOfTimes = (term: SearchTerm): term is TimeTerm => 'before' in term;

/** Whether the order of ids alone would have all connections examined for it. */
export const isSearch = ({ text, refreshDueBefore, grantEndsBefore }: ConnectionFilter): boolean =>
  text !== undefined || refreshDueBefore !== undefined || grantEndsBefore !== undefined;

/** Their connections are all that a search may find, and perhaps more. Undefined: the filter is no search. */
export function searchTerms(filter: ConnectionFilter, known: readonly string[]): SearchTerm[] | undefined {
  const { text, refreshDueBefore, grantEndsBefore, integration } = filter;
  if (text !== undefined) {
    const name = foldCase(text);
    return [
      { by: 'id', text },
      { by: 'accountId', text },
      ...(['owner', 'label'] as const).map((by) => ({ by, from: text, to: afterPrefix(text) })),
      { by: 'accountName', from: name, to: afterPrefix(name) },
    ];
  }
  if (grantEndsBefore !== undefined) return [{ by: 'grantEnd', before: grantEndsBefore }];
  if (refreshDueBefore === undefined) return undefined;
  const integrations = integration === undefined ? known : [integration];
  return integrations.map((one) => ({ by: 'refreshDue', integration: one, before: refreshDueBefore }));
}

/** As `lower` of both databases does it: of ASCII alone, whatever the locale. */
export const foldCase = (text: string): string => text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
