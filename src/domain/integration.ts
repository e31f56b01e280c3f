// Integrations (providers set up in this deployment), and the connect sessions and flows that create connections.
import type { Account, Ciphertext } from './connection.ts';

export interface Integration {
  /** A slug chosen by the admin. */
  id: string;
  provider: string;
  clientId: string;
  clientSecret: Ciphertext | null;
  /** PEM: for client assertions (RFC 7523), JWT bearer grants and mutual TLS (RFC 8705). */
  privateKey: Ciphertext | null;
  keyId: string | null;
  /** PEM; public. */
  certificate: string | null;
  /** Default scopes of the provider are resolved when it is stored. */
  scopes: string[];
  /** False: they are the provider's default scopes. Null: stored by a version that did not record it. */
  scopesNamed: boolean | null;
  params: Record<string, string>;
  overrides: Overrides;
  /** Origins that a `return_url` may have, in addition to those of the configuration. */
  returnOrigins: string[];
  /** Incremented by each change. */
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

/** Lets one browser create or renew one connection, once, within a short time. */
export interface ConnectSession {
  id: string;
  /** SHA-256 of the secret in the connect URL; the secret itself is not stored. */
  secretDigest: string;
  integration: string;
  owner: string;
  label: string;
  /** Null: those of the integration. */
  scopes: string[] | null;
  /** True: a renewed connection gives up the other scopes that it has. Null: false. */
  replaceScopes: boolean | null;
  params: Record<string, string>;
  metadata: Record<string, unknown> | null;
  returnUrl: string | null;
  /** The connection to renew; once completed, the one that was created or renewed. */
  connectionId: string | null;
  /** The account that was connected; null until then, and where the provider does not tell. */
  account: Account | null;
  status: SessionStatus;
  error: string | null;
  /** SHA-256 of the cookie of the browser that opened it first; null: not opened yet. */
  browserDigest: string | null;
  /** The caller that created it. */
  createdBy: string;
  createdAt: number;
  expiresAt: number;
}

/** An authorization request in flight. Consumed by the first callback with its state. */
export interface Flow {
  stateDigest: string;
  sessionId: string;
  integration: string;
  browserDigest: string;
  /** RFC 7636 code verifier. */
  verifier: Ciphertext;
  nonce: Ciphertext;
  /** The issuer that the browser was sent to; null: the provider has none. */
  issuer: string | null;
  redirectUri: string;
  scopes: string[];
  params: Record<string, string>;
  expiresAt: number;
}
