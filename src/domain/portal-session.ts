// Portal sessions: the page on which an owner sees, renews and ends their own connections.
import type { Ciphertext } from './connection.ts';

export interface PortalSession {
  id: string;
  owner: string;
  /** Where its page leads back to. */
  returnUrl: string;
  /** Null: all that the caller's permissions cover. */
  integrations: string[] | null;
  displayOwner: string | null;
  uiLocales: string | null;
  /** The caller that created it, and what with (`madeWith`): the page ends with either. */
  createdBy: string;
  createdWith: string;
  /** SHA-256 of the cookie of the browser that has it; null: none has yet. */
  browserDigest: string | null;
  /** 256 random bits that only the broker knows, and the cookie is made from. Absent in links of earlier releases. */
  seed?: string;
}

/** As a store keeps it. */
export interface PortalSessionRow {
  id: string;
  /** SHA-256 of the secret in its URL, which works once. */
  secretDigest: string;
  owner: string;
  browserDigest: string | null;
  /** The session, as JSON. */
  content: Ciphertext;
  createdAt: number;
  /** Of the URL, and from when it is entered, of the page. */
  expiresAt: number;
}
