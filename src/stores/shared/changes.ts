// The rows of the table behind the change feed.
import type { Change, ChangeKind } from '../../ports/index.ts';

export const CAPTURES_CHANGED = { kind: 'captures' } as const;

export interface ChangeRow {
  kind: ChangeKind;
  id: string | null;
  generation: number | null;
}

export function changeFrom({ kind, id, generation }: ChangeRow): Change {
  if (kind === 'connection') return { kind, id: id!, generation: generation! };
  return kind === 'integration' || kind === 'session_ended' ? { kind, id: id! } : { kind };
}
