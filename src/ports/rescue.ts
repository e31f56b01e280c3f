// The rescue file: provider answers that the store could not commit wait in it, encrypted, until it can.
import type { WrittenCredentials } from '../domain/connection.ts';
import type { HeldLease, ReadIntegration, RefreshedFields } from './rows.ts';

/** The encrypted answer of a refresh on its way into the store. It is stored as JSON: a name that changes loses answers. */
export interface PendingCommit {
  attempt: string;
  connectionId: string;
  integration: string;
  /** Of the integration that was asked. Undefined: written by an earlier version. */
  of?: ReadIntegration | undefined;
  owner: string;
  /** Undefined: written by an earlier version. */
  label?: string | undefined;
  params: Record<string, string>;
  captured: Record<string, unknown>;
  held: HeldLease;
  /** When the access token that it replaces was issued. Undefined: written by an earlier version. */
  replaces?: { issuedAt: number } | undefined;
  change: RefreshedFields;
  grant: WrittenCredentials;
}

export interface RescuedResponses {
  responses: PendingCommit[];
  /** Entries that are damaged, as they are stored: they stay in the file. */
  unreadable: { attempt: string; text: string }[];
}

/** Each method is durable once fulfilled, and rejects when it could not be done: then nothing changed. */
export interface Rescue {
  /** Replaces an answer of the same attempt. */
  add(answer: PendingCommit): Promise<void>;
  remove(attempt: string): Promise<void>;
  all(): Promise<RescuedResponses>;
}
