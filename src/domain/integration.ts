// Integrations (providers set up in this deployment), and the connect sessions and flows that create connections.
import type { Account, Ciphertext } from './connection.ts';
import type { Theme } from './theme.ts';

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
  /** True: only two-phase connect sessions are created for it. Null: false. */
  requireFinish: boolean | null;
  /** How often its API is called through the proxy. Null: as the catalogue has it. */
  rate: UpstreamRate | null;
  /** The look of its connect pages, over the deployment's. Null: that. */
  theme: Theme | null;
  /** Incremented by each change. */
  version: number;
  createdAt: number;
  updatedAt: number;
  /** The message authentication code of the row; null: stored before rows had one. */
  mac?: string | null | undefined;
  /** False: the row was changed by something else than a broker, and must not be used. */
  isAuthentic?: false | undefined;
}

/** At most so many calls within a time, of all replicas together: a token bucket that holds `requests`. */
export interface UpstreamRate {
  requests: number;
  /** Seconds. */
  window: number;
  /** Whose calls are counted together. */
  per: UpstreamRateScope;
}

export const UPSTREAM_RATE_SCOPES = ['integration', 'connection', 'caller'] as const;
export type UpstreamRateScope = (typeof UPSTREAM_RATE_SCOPES)[number];

export interface Overrides {
  authorization_url?: string | undefined;
  token_url?: string | undefined;
  revocation_url?: string | undefined;
  userinfo_url?: string | undefined;
  api_base_url?: string | undefined;
  /** Another host of the API, by its alias. */
  [host: `host.${string}`]: string | undefined;
}

/**
 * `awaiting_finish`: the owner has consented, and the grant is a candidate until the caller finishes the session. The last
 * four are final.
 */
export type SessionStatus = 'pending' | 'awaiting_finish' | 'completed' | 'failed' | 'expired' | 'cancelled';

/** The owner can do something about these at once: sign in with another account, or allow more. */
export const RETRIED: readonly string[] = ['identity_mismatch', 'account_unknown'];

/** `popup`: the last page tells the window that opened it, and closes. */
export type SessionDisplay = 'popup';

/** Lets one browser create or renew one connection, once, within a short time. */
export interface ConnectSession {
  id: string;
  /** SHA-256 of the secret in the connect URL; the secret itself is not stored. */
  secretDigest: string;
  /** Empty: the owner has not chosen one of `integrations` yet. */
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
  /** The account that the owner has consented with; null until then, and where the provider does not tell. */
  account: Account | null;
  status: SessionStatus;
  error: string | null;
  /** The code of the page that told the owner why it failed, where that is another one than `error`. */
  pageError: string | null;
  /**
   * SHA-256 of the cookie of the browser that may go on with it; null: none yet. The first one that confirms it is bound;
   * where nothing is confirmed, the first one that comes back with an authorization response.
   */
  browserDigest: string | null;
  /** True: two-phase, the caller that knows who is signed in finishes it. Null: false. */
  finish: boolean | null;
  /** On whose behalf, as the confirmation page says it; null: it does not say. */
  displayOwner: string | null;
  /** RFC 7636 4.2, S256: what `code_verifier` must hash to when it is finished. Null: none is asked for. */
  codeChallenge: string | null;
  /** Those that the owner chooses from; null: there is nothing to choose. */
  integrations: string[] | null;
  /** The languages that the owner reads, in the order of preference, with spaces between; null: as the browser says. */
  uiLocales: string | null;
  display: SessionDisplay | null;
  /** True: an API wants further scopes of the connection. Null: false. */
  isStepUp: boolean | null;
  /** SHA-256 of the finish code; null: none was given out. */
  finishDigest: string | null;
  /** Attempts to finish it with a wrong code or verifier. */
  wrongAttempts: number;
  /** The caller that created it. */
  createdBy: string;
  /** What with (`madeWith`); null: created by a release that did not record it. */
  createdWith: string | null;
  createdAt: number;
  expiresAt: number;
  /** As of an integration. */
  mac?: string | null | undefined;
}

/** Where its connection may be: the integration, or, before the owner has chosen, each of the choices. */
export const integrationsOf = ({ integration, integrations }: Pick<ConnectSession, 'integration' | 'integrations'>) =>
  integration === '' ? (integrations ?? []) : [integration];

/** The grant of a session that waits for its finish. */
export interface Candidate {
  sessionId: string;
  /** What the provider granted, with its secrets. */
  receivedGrant: Ciphertext;
  createdAt: number;
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
  /** The `prompt` that has the owner choose an account, where one was sent; null: none. */
  accountPrompt: string | null;
  /** Where it leads and as which client, where that was found at a protected resource; null: as the integration says. */
  source: Ciphertext | null;
  expiresAt: number;
}
