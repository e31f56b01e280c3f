// Sends events to webhook endpoints through the outbound client: no redirects, one deadline, the beginning of the response.
import { DELIVERY_RETRY_AFTER_MAX_MS } from '../../domain/time-limits.ts';
import type { Clock, WebhookResponse, WebhookSender } from '../../ports/index.ts';
import type { Outbound } from './outbound.ts';
import { OutboundError } from './outbound-error.ts';
import type { WholeResponse } from './whole-response.ts';

/** Bytes of a response that the log of deliveries keeps. */
const KEPT = 4_096;

interface Parts {
  outbound: Outbound;
  clock: Pick<Clock, 'now'>;
}

export function createWebhookSender({ outbound, clock }: Parts): WebhookSender {
  const answered = async (response: WholeResponse): Promise<WebhookResponse> => ({
    kind: 'answered',
    status: response.status,
    body: (await response.text()).slice(0, KEPT),
    retryAfterMs: retryAfterMs(response.header('retry-after'), clock.now()),
  });

  return {
    async post({ url, headers, body, timeoutMs, signal }) {
      try {
        return await answered(
          await outbound(url, { method: 'POST', headers, body, timeoutMs, signal, cutOffAt: KEPT }),
        );
      } catch (error) {
        if (!(error instanceof OutboundError)) throw error;
        const { code, status = null } = error;
        if (code === 'blocked' || code === 'redirect' || code === 'timeout') return { kind: 'failed', code, status };
        return { kind: 'failed', code: 'network', status };
      }
    },
  };
}

/** Undefined: none that can be read (RFC 9110 10.2.3). */
function retryAfterMs(value: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? '';
  const ms = /^\d+$/.test(text)
    ? Number(text) * 1_000
    : /^[a-z]{3,9},? /i.test(text)
      ? Date.parse(text) - now
      : Number.NaN;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), DELIVERY_RETRY_AFTER_MAX_MS);
}
