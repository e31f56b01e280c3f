// How an integration receives webhooks: what an admin has set, and what of it is shown.
import type { ProviderWebhooks } from './webhook-dialect.ts';
import type { WebhookScheme } from './webhook-scheme.ts';

/** Stored as one encrypted record. */
export interface WebhookSettings {
  /** Whatever the vendor calls it; several are live at once. Those that a handshake brought come last. */
  secrets: string[];
  /** SHA-256 of the hook in the URL, hex; null: there is none. */
  hookDigest: string | null;
  /** Null: the provider's default. */
  scheme: WebhookScheme | null;
  /** Until then, a handshake may bring a key (ms since the epoch); null: none may. */
  handshakeUntil: number | null;
}

export const NO_WEBHOOK_SETTINGS: WebhookSettings = {
  secrets: [],
  hookDigest: null,
  scheme: null,
  handshakeUntil: null,
};

/** What an admin asks for. Undefined members stay as they are. */
export interface WebhookSetup {
  secrets?: readonly string[] | undefined;
  /** True: there is one, made if need be; false: there is none. */
  hook?: boolean | undefined;
  /** Null: the provider's default. */
  scheme?: WebhookScheme | null | undefined;
}

/** The schemes that senders of a provider use at `/webhooks`, in the order in which they are tried. */
export const webhookSchemes = (webhooks: ProviderWebhooks): string[] => [
  ...new Set(
    Object.values(webhooks)
      .filter(({ receiver }) => receiver === 'webhooks')
      .map(({ verify }) => verify.scheme),
  ),
];

/** What is wrong with a set-up for a provider. */
export function webhookSetupIssues(
  webhooks: ProviderWebhooks,
  { scheme }: WebhookSetup,
): { path: string; message: string }[] {
  const endpoints = Object.values(webhooks).filter(({ receiver }) => receiver === 'webhooks');
  if (endpoints.length === 0)
    return [{ path: 'webhook', message: 'the catalogue does not know how this provider sends webhooks' }];
  if (!scheme || endpoints.some(({ option }) => option === scheme.scheme)) return [];
  const options = endpoints.flatMap(({ option }) => option ?? []);
  const message = options.length > 0 ? `is one of ${options.join(', ')}` : 'this provider signs in one way only';
  return [{ path: 'webhook.scheme', message }];
}

/** Names of what a change is about, for the audit log. */
export const changedSettings = (before: WebhookSettings, after: WebhookSettings): string[] =>
  (Object.keys(after) as (keyof WebhookSettings)[])
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
    .map((name) => `webhook.${{ hookDigest: 'hook', handshakeUntil: 'handshake' }[name as string] ?? name}`);
