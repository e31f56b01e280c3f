// The address of the list of connections: what is searched for. What it does not know is as if it were not there.
import { HOUR } from '../../../../domain/durations.ts';
import type { ConnectionFilter } from '../../../../ports/index.ts';
import { REASONS } from './reasons.ts';

export const DUE = {
  refresh: 'a refresh is overdue',
  soon: 'a refresh within an hour',
  grant: 'its grant ends within two weeks',
} as const;

const STATUSES = ['active', 'failing', 'needs_reauth', 'on_hold', 'revoked'] as const;

export interface ListQuery {
  text?: string | undefined;
  owner?: string | undefined;
  integration?: string | undefined;
  status?: (typeof STATUSES)[number] | undefined;
  reason?: keyof typeof REASONS | undefined;
  due?: keyof typeof DUE | undefined;
  cursor?: string | undefined;
}

const NAMES = {
  text: 'q',
  owner: 'owner',
  integration: 'integration',
  status: 'status',
  reason: 'reason',
  due: 'due',
  cursor: 'cursor',
} as const;

const MAX_LENGTH = 255;

export function listQuery(search: URLSearchParams): ListQuery {
  /** Databases know no NUL in a text. */
  const text = (name: string) =>
    search.get(name)?.replaceAll('\0', '').toWellFormed().slice(0, MAX_LENGTH) || undefined;
  const oneOf = <T extends string>(name: string, all: readonly T[]) => all.find((value) => value === search.get(name));
  return {
    text: text('q')?.trim() || undefined,
    // Exactly: spaces are a part of it.
    owner: text('owner'),
    integration: text('integration')?.trim() || undefined,
    status: oneOf('status', STATUSES),
    reason: oneOf('reason', Object.keys(REASONS) as (keyof typeof REASONS)[]),
    due: oneOf('due', Object.keys(DUE) as (keyof typeof DUE)[]),
    cursor: search.get('cursor') || undefined,
  };
}

/** `now`: ms since the epoch. */
export function filterOf(
  { text, owner, integration, status, reason, due }: ListQuery,
  now: number,
): Omit<ConnectionFilter, 'within'> {
  const isFailing = status === 'failing';
  // A reason has one status, whose connections are few.
  const implied = reason === undefined ? undefined : reason === 'account_disabled' ? 'on_hold' : 'needs_reauth';
  return {
    text,
    owner,
    integration,
    status: isFailing ? 'active' : (status ?? implied),
    reason,
    failing: isFailing ? true : undefined,
    refreshDueBefore: due === 'refresh' ? now : due === 'soon' ? now + HOUR : undefined,
    grantEndsBefore: due === 'grant' ? now + 14 * 24 * HOUR : undefined,
  };
}

export function toQuery(query: ListQuery): URLSearchParams {
  const search = new URLSearchParams();
  for (const [name, parameter] of Object.entries(NAMES)) {
    const value = query[name as keyof ListQuery];
    if (value !== undefined) search.set(parameter, value);
  }
  return search;
}
