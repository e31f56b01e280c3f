// Verifying webhooks of third parties, and reading what they say: by the catalogue's data alone, without a store.
import type { ProviderWebhooks } from '../domain/webhook-dialect.ts';
import type { WebhookScheme } from '../domain/webhook-scheme.ts';

/** A request to `/webhooks/{integration}`, as the sender made it. */
export interface WebhookRequest {
  method: string;
  /** The public URL, with path and query as called: what some senders sign. Never rebuilt from `Host`. */
  url: string;
  /** Names in lower case; the values of a repeated header are joined by `, `. */
  headers: Readonly<Record<string, string>>;
  /** The raw bytes. */
  body: Uint8Array;
  /** Milliseconds since the epoch. */
  receivedAt: number;
}

/** What an admin has set for an integration. */
export interface WebhookKeys {
  /** Whatever the vendor calls it: signing secret, verification token, `user:password`, public key. Several are live at once. */
  secrets: readonly string[];
  /** Of the integration: some senders sign with the client secret, or name the client id. */
  clientId: string;
  clientSecret: string | null;
  params: Readonly<Record<string, string>>;
  /** The request came to the URL with the integration's hook. */
  hasHook: boolean;
  /** Of a provider that takes several: how its sender signs. Undefined: the default. */
  scheme?: WebhookScheme | undefined;
  /** A key may arrive by a handshake now, since an admin has opened the window. */
  mayLearnKey: boolean;
}

export interface WebhookAnswer {
  status: number;
  headers: Record<string, string>;
  body: string | null;
}

/** One event of a delivery. */
export interface WebhookEvent {
  /** The place in the batch, from 0. */
  index: number;
  id: string | null;
  type: string | null;
  /** What it is deduplicated by: its id, or the digest that the catalogue names. */
  key: string;
  /**
   * Where its connections are looked for, in this order: those that have any of the values under the key. The first that finds
   * one counts. `without`: not those that have this value, too.
   */
  locators: { key: string; values: string[]; without?: string | undefined }[];
  /** It says that the grant of its connections has ended. */
  isDeauthorization: boolean;
  /** It says that the account of its connections is suspended, or enabled again. */
  hold: 'hold' | 'release' | null;
  /** Its own bytes: the whole body, unless it is one of a batch. */
  body: Uint8Array;
}

export type WebhookVerdict =
  | {
      kind: 'verified';
      events: WebhookEvent[];
      /** The answer once it is durable. */
      answer: WebhookAnswer;
      /** False: anybody who knows the URL may have sent it, so that nothing is ended for it. */
      isSenderAuthenticated: boolean;
      /** Lower-case names of headers that carry a token or signature, and are not handed on. */
      secretHeaders: string[];
    }
  /** A handshake: it is answered, and nothing is stored but a key that it brought. */
  | { kind: 'handshake'; answer: WebhookAnswer; learnedSecret: string | null }
  /** `reason`: a word for metrics and the log, without anything that was sent. `allow`: of 405, the header (RFC 9110 10.2.1). */
  | { kind: 'refused'; status: 401 | 404 | 405 | 413; reason: string; allow?: string };

/** Never throws for anything that was sent: that is a refusal. */
export interface WebhookVerifier {
  /** Before the body is read: whether it can be verified at all. Undefined: read it. */
  precheck(
    webhooks: ProviderWebhooks,
    request: Omit<WebhookRequest, 'body'>,
    keys: WebhookKeys,
  ): Extract<WebhookVerdict, { kind: 'refused' }> | undefined;
  /** The largest body, in bytes. */
  maxBody(webhooks: ProviderWebhooks): number;
  /**
   * Keys that are published at a URL (JWKS, certificates) are fetched, and remembered. In a body that is verified, a token or
   * signature of the sender is overwritten: it is handed on. Never rejects: a failed fetch is `refused`.
   */
  verify(webhooks: ProviderWebhooks, request: WebhookRequest, keys: WebhookKeys): Promise<WebhookVerdict>;
}
