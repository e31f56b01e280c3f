// Which connection a selector means, and what is said where it means none.
import type { Connection } from '../../domain/connection.ts';
import { type Fault, type Refusal, refuse } from '../../domain/errors.ts';

export interface OwnerSelector {
  integration: string;
  owner: string;
  /** Undefined: any, as long as there is only one. The empty string: the one without a label. */
  label?: string | undefined;
}

/** A connection id, or an owner at an integration. */
export type Selector = string | OwnerSelector;

export const connectionNotFound = (id: string): Refusal => refuse({ code: 'not_found', what: 'connection', id });

/** The one connection that the selector means, live ones first; never a guess. */
export function choose(all: readonly Connection[], { integration, owner, label }: OwnerSelector): Connection | Refusal {
  const matching = label === undefined ? all : all.filter((c) => c.label === label);
  const live = matching.filter((c) => c.status !== 'revoked');
  if (live.length > 1) {
    const candidates = live.map((c) => ({ connection_id: c.id, label: c.label === '' ? null : c.label }));
    return refuse({ code: 'ambiguous_connection', candidates });
  }
  // Without a live one, the newest tombstone.
  const chosen = live[0] ?? matching[0];
  if (chosen) return chosen;
  return ownerNotFound({ integration, owner, label });
}

export function ownerNotFound({ integration, owner, label }: OwnerSelector): Refusal {
  const which = label === undefined ? owner : `${owner} (label "${label}")`;
  return connectionNotFound(`${which} at ${integration}`);
}

export const isAbsent = (refusal: Refusal): refusal is Refusal & { fault: Extract<Fault, { code: 'not_found' }> } =>
  refusal.fault.code === 'not_found';
