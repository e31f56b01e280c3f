// The events of a batch that are verified one by one.
import type { WebhookEndpointDialect } from '../../domain/webhook-dialect.ts';
import { itemsAt } from './json-paths.ts';
import type { Scope } from './values.ts';

/** The scope of each: of all lists, since all are handed on. */
export function itemScopes({ batch }: WebhookEndpointDialect['event'], scope: Scope): Scope[] | 'too_many' {
  const scopes: Scope[] = [];
  for (const path of batch) {
    const items = itemsAt(scope.document?.(), path) ?? [];
    if (items === 'too_many') return items;
    for (const { value, parent } of items) scopes.push({ ...scope, item: value, parent });
  }
  return scopes;
}
