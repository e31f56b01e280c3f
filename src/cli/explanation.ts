// Why a connection or an integration does not work, as it is printed: the words are the broker's.
import type { Json } from './broker.ts';

const WHO: Record<string, string | undefined> = {
  admin: 'An admin of the integration',
  owner: 'The owner of the account',
  vendor: 'The vendor',
  operator: 'Who operates this deployment',
  no_one: 'No one',
};

/** Null: it works, or the broker is of a release that does not say. */
export function explanationOf({ explanation }: Json): string | null {
  if (explanation === null || typeof explanation !== 'object') return null;
  const { summary, since, fixable_by, how, until } = explanation as Record<string, string | null>;
  return [
    summary,
    ...(since ? [`Since ${since}.`] : []),
    `${WHO[fixable_by ?? ''] ?? fixable_by} can fix it. ${how}`,
    ...(until ? [`Next try at ${until}.`] : []),
  ].join(' ');
}
