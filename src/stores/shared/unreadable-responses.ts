// Unreadable responses, in any dialect: which are of the same connection or session.
import { type Column, eq, type SQL } from 'drizzle-orm';
import type { UnreadableResponse } from '../../ports/index.ts';

/** Those of its connection, or of its session. */
export function isOfSame(
  table: Record<'connectionId' | 'sessionId', Column>,
  { connectionId, sessionId }: UnreadableResponse,
): SQL {
  return connectionId === null ? eq(table.sessionId, sessionId) : eq(table.connectionId, connectionId);
}
