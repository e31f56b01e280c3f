// What is stored of a captured call: redacted, and encrypted for its row and connection.
import type { CapturedCallRow, Vault } from '../../../ports/index.ts';
import type { CapturedBody } from './captured-body.ts';

interface CapturedMessage {
  headers: [name: string, value: string][];
  body: CapturedBody;
}

export interface CapturedContent {
  method: string;
  host: string;
  /** A template: without what may name someone, and without the query. */
  path: string;
  /** Null: there was no response. */
  status: number | null;
  /** The code of the problem that the caller was told; null: the API has answered. */
  error: string | null;
  durationMs: number;
  attempts: number;
  /** The body of the response came to its end. */
  isComplete: boolean;
  request: CapturedMessage;
  response: CapturedMessage | null;
}

export interface CapturedCall extends CapturedContent {
  id: string;
  connectionId: string;
  at: number;
}

type Head = Omit<CapturedCallRow, 'content'>;

const contextOf = ({ id, connectionId }: Head) => ({
  row: `captured_calls/${id}`,
  column: 'content',
  bound: [connectionId],
});

export const encryptCapturedCall = (
  vault: Pick<Vault, 'encrypt'>,
  head: Head,
  content: CapturedContent,
): CapturedCallRow => ({ ...head, content: vault.encrypt(JSON.stringify(content), contextOf(head)) });

/** Throws `VaultError`. */
export function decryptCapturedCall(
  vault: Pick<Vault, 'decrypt'>,
  { content, ...head }: CapturedCallRow,
): CapturedCall {
  return { ...(JSON.parse(vault.decrypt(content, contextOf(head))) as CapturedContent), ...head };
}
