// Where things are at the broker. What is asked for is encoded whole, so that no two of them share a path.
import { ValetkeyError } from './errors.ts';
import type { CreateConnectSessionRequest } from './types.ts';

/** A connection: by its id, or as its owner's at an integration. */
export type Which =
  | { connection: string; integration?: never; owner?: never; label?: never }
  | ({ connection?: never } & Pick<CreateConnectSessionRequest, 'integration' | 'owner' | 'label'>);

export function tokenPath({ connection, integration, owner, label }: Which): string {
  if (connection !== undefined) return `${connectionPath(connection)}/token`;
  const query = new URLSearchParams({ integration, owner });
  if (label !== undefined) query.set('label', label);
  return `/v1/token?${query}`;
}

export const connectionPath = (id: string): string => `/v1/connections/${segment(id)}`;
export const sessionPath = (id: string): string => `/v1/connect-sessions/${segment(id)}`;

/** Two dots would lead elsewhere, however they are encoded. */
function segment(id: string): string {
  if (/^[\w-]+$/.test(id)) return id;
  const detail = 'An id has letters, digits, dashes and underscores only';
  throw new ValetkeyError({ code: 'invalid_request', status: 0, detail });
}
