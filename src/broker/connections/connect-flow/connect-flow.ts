// The connect flow in the owner's browser, from a connect session to a connection (RFC 6749 4.1, RFC 7636, RFC 9207, RFC 9700).
import type { StrangerLog } from '../../audit/index.ts';
import { createCallback } from './callback.ts';
import { createOpen, type SubmittedForm } from './open.ts';
import { createOutcome } from './outcome.ts';
import { carryOver } from './posted-response.ts';
import { type BrowserError, type BrowserRequest, type ConnectStep, type FlowParts, refused } from './steps.ts';

/** A failure is a step too. Rejects with `StoreError` or `VaultError`; the session then stays pending. */
export interface ConnectFlow {
  /**
   * The browser opens the connect URL: a page that says what is about to happen and asks for missing parameters or, in a
   * two-phase session that has nothing to ask, a redirect to the provider. Binds nothing, since links are opened by others
   * than their readers, too.
   */
  open(secret: string, request: BrowserRequest): Promise<ConnectStep>;
  /** The page's form: binds the session to the browser, and sends it on to the provider. */
  submit(secret: string, request: BrowserRequest, form: SubmittedForm): Promise<ConnectStep>;
  /**
   * The browser comes back with the authorization response, at the redirect URI of this integration. One that comes again
   * with the same response gets the same outcome. `issuer`: its hash, of a redirect URI for one issuer.
   */
  callback(
    integration: string,
    response: URLSearchParams,
    request: BrowserRequest,
    issuer?: string,
  ): Promise<ConnectStep>;
  /**
   * The authorization response came by POST (`response_mode=form_post`): returns what the callback's URL carries as
   * `form_post` instead. Undefined: it has no state, or is much too long.
   */
  carryOver(integration: string, posted: URLSearchParams, issuer?: string): string | undefined;
  /** The session's own page, for the browser that it is bound to: how it ended. */
  outcome(id: string, request: BrowserRequest): Promise<ConnectStep>;
  /** Another try, after an error that the owner can do something about; `token` is of the form that offered it. */
  retry(id: string, request: BrowserRequest, token: string | undefined): Promise<ConnectStep>;
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
  const outcome = createOutcome(parts);
  return {
    ...createOpen(parts),
    carryOver: (integration, posted, issuer) => carryOver(parts, integration, posted, issuer),
    async outcome(id, request) {
      const session = await parts.store.sessionOfPage(id);
      if (!session) return refused('invitation_used');
      request.about?.(session);
      return outcome.of(session, request);
    },
    async callback(integration, response, request, issuer) {
      const step = await callback(integration, response, request, issuer);
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
