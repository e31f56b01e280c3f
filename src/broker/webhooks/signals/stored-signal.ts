// What is stored of a signal, encrypted: its claims as they are shown, and what is to be done. It was verified at its receipt.
import type { ReceivedWebhook } from '../../../domain/received-webhook.ts';
import { eventsOf, type SecurityEvent, shownClaims } from '../../../domain/security-events.ts';
import { type Vault, VaultError } from '../../../ports/index.ts';
import { lookUpDigests } from '../../secrets/index.ts';
import { bodyContext, type StoredBody } from '../stored-body.ts';

/** A token is named by keyed digests only: what was sent of it is not stored. */
export type StoredSubject =
  | Exclude<SecurityEvent['subject'], { kind: 'token' }>
  | { kind: 'token'; key: string; values: string[] };

export interface StoredSignal {
  /** The integrations whose connections are looked for. */
  integrations: string[];
  events: (Omit<SecurityEvent, 'subject'> & { subject: StoredSubject })[];
  /** Of a logout token; null: any session. */
  sid: string | null;
}

/** As every body is stored, and a member of its own. */
export interface StoredSignalBody extends StoredBody {
  signal: StoredSignal;
}

export function signalOf(
  vault: Pick<Vault, 'digests'>,
  claims: Record<string, unknown>,
  integrations: string[],
): StoredSignal {
  const events = eventsOf(claims).map(({ subject, ...event }) => ({
    ...event,
    subject: subject.kind === 'token' ? { kind: 'token' as const, ...lookUpDigests(vault, subject) } : subject,
  }));
  return { integrations, events, sid: typeof claims.sid === 'string' ? claims.sid : null };
}

/** The claims as text, and its encrypted form for the row of this id. */
export function encryptSignal(
  vault: Pick<Vault, 'encrypt'>,
  id: string,
  claims: Record<string, unknown>,
  signal: StoredSignal,
): { text: string; body: NonNullable<ReceivedWebhook['body']> } {
  const text = JSON.stringify(shownClaims(claims));
  const stored: StoredSignalBody = {
    body: { text },
    isSenderAuthenticated: true,
    events: signal.events.map((_, index) => ({ index, locators: [], isDeauthorization: false, own: null })),
    signal,
  };
  return { text, body: vault.encrypt(JSON.stringify(stored), bodyContext(id)) };
}

/** Throws `VaultError` when it does not decrypt any more. */
export function decryptSignal(
  vault: Pick<Vault, 'decrypt'>,
  { id, body }: Pick<ReceivedWebhook, 'id' | 'body'>,
): { signal: StoredSignal; stored: StoredBody } {
  if (body === null) throw new VaultError('malformed', `the body of ${id} is not kept`);
  const { signal, ...stored } = JSON.parse(vault.decrypt(body, bodyContext(id))) as StoredSignalBody;
  return { signal, stored };
}
