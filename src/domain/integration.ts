// A provider set up in this deployment, and the invitations and flows that lead to connections of it.
import type { Ciphertext } from './connection.ts';

export interface Integration {
  /** A slug chosen by the admin. */
  id: string;
  provider: string;
  clientId: string;
  clientSecret: Ciphertext | null;
  /** PEM: signs client assertions, assertions of its own, and speaks mutual TLS. */
  privateKey: Ciphertext | null;
  keyId: string | null;
  /** PEM; public. */
  certificate: string | null;
  /** Undefined in the request means the provider's default scopes; they are resolved when it is stored. */
  scopes: string[];
  params: Record<string, string>;
  overrides: Overrides;
  /** Origins that a `return_url` may have, besides those of the configuration. */
  returnOrigins: string[];
  /** Counts changes: what was derived from an older version is stale. */
  version: number;
  createdAt: number;
  updatedAt: number;
}

export interface Overrides {
  authorization_url?: string | undefined;
  token_url?: string | undefined;
  revocation_url?: string | undefined;
  userinfo_url?: string | undefined;
  api_base_url?: string | undefined;
}

export type SessionStatus = 'pending' | 'completed' | 'failed' | 'expired';

/** A short-lived, single-use invitation for a browser to create or renew one connection. */
export interface ConnectSession {
  id: string;
  /** SHA-256 of the secret in the invitation's URL; the secret itself is not kept. */
  secretDigest: string;
  integration: string;
  owner: string;
  label: string;
  /** Null: the integration's. */
  scopes: string[] | null;
  params: Record<string, string>;
  metadata: Record<string, unknown> | null;
  returnUrl: string | null;
  /** The connection to renew, or, when completed, the one that was made or renewed. */
  connectionId: string | null;
  status: SessionStatus;
  error: string | null;
  /** SHA-256 of the cookie of the browser that opened it first; null until then. */
  browserDigest: string | null;
  /** The caller that asked for it. */
  createdBy: string;
  createdAt: number;
  expiresAt: number;
}

/** An authorization request in flight: consumed, once, by the callback that brings its state back. */
export interface Flow {
  stateDigest: string;
  sessionId: string;
  integration: string;
  browserDigest: string;
  /** RFC 7636 code verifier. */
  verifier: Ciphertext;
  nonce: Ciphertext;
  /** The issuer that the browser was sent to; null where the provider has none. */
  issuer: string | null;
  redirectUri: string;
  scopes: string[];
  params: Record<string, string>;
  expiresAt: number;
}
