// Sending an event to a webhook endpoint: one POST, through the guarded outbound client.

export interface WebhookPost {
  url: string;
  headers: Readonly<Record<string, string>>;
  body: string;
  timeoutMs: number;
  signal: AbortSignal;
}

/** What one attempt came to. `body`: the first 4 kB of the response, as text. */
export type WebhookResponse =
  | { kind: 'answered'; status: number; body: string; retryAfterMs: number | undefined }
  /**
   * - `blocked`: the URL may not be requested, or a header cannot be sent
   * - `redirect`: it answered with one, which is not followed
   * - `timeout`, `network`: no whole response came
   */
  | { kind: 'failed'; code: 'blocked' | 'redirect' | 'timeout' | 'network'; status: number | null };

export interface WebhookSender {
  /** Never rejects. */
  post(request: WebhookPost): Promise<WebhookResponse>;
}
