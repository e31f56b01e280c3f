// The connect flow in the owner's browser, from a connect session to a connection (RFC 6749 4.1, RFC 7636, RFC 9207, RFC 9700).
import type { StrangerLog } from '../../audit/index.ts';
import { createBegin } from './begin.ts';
import { createCallback } from './callback.ts';
import type { BrowserError, BrowserRequest, ConnectStep, FlowParts } from './steps.ts';

/** A failure is a step too. Rejects with `StoreError` or `VaultError`; the session then stays pending. */
export interface ConnectFlow {
  /**
   * The browser opens the connect URL. Binds the session to the browser and sends it on to the provider, or asks for
   * missing parameters; `given` are those that the owner has filled in.
   */
  begin(secret: string, request: BrowserRequest, given?: Record<string, string>): Promise<ConnectStep>;
  /** The browser comes back with the authorization response, at the redirect URI of this integration. */
  callback(integration: string, response: URLSearchParams, request: BrowserRequest): Promise<ConnectStep>;
}

/** Refusals that end no session: those that do are recorded with it. */
const WITHOUT_SESSION: ReadonlySet<BrowserError> = new Set<BrowserError>([
  'invalid_state',
  'other_browser',
  'invitation_used',
  'invitation_expired',
]);
const SLUG = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export function createConnectFlow(parts: FlowParts & { strangers: Pick<StrangerLog, 'note'> }): ConnectFlow {
  const callback = createCallback(parts);
  return {
    begin: createBegin(parts),
    async callback(integration, response, request) {
      const step = await callback(integration, response, request);
      if (step.kind === 'refused' && WITHOUT_SESSION.has(step.error)) {
        const named = SLUG.test(integration) ? integration : null;
        const { address, requestId } = request;
        const { error: reason } = step;
        parts.strangers.note(
          { action: 'connection.callback_refused', reason, presented: null, integration: named, address },
          requestId,
        );
      }
      return step;
    },
  };
}
