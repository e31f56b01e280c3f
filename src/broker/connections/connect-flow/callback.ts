// The second step of the connect flow: the authorization response, checked and exchanged (RFC 6749 4.1.2, RFC 9207, RFC 9700).
// CSRF protection: `state` and browser binding are checked first.
import { type AuthMode, isCode } from '../../../domain/auth-modes.ts';
import { Refusal } from '../../../domain/errors.ts';
import { parseStoredCredentials } from '../../../domain/imported-credentials.ts';
import type { ConnectSession } from '../../../domain/integration.ts';
import { StoreError } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { decryptKeyMaterial, digest } from '../../secrets/index.ts';
import { existingFor } from '../received-grant/store-grant.ts';
import { untilRevocationsEnd } from '../upstream-revocation/shared-grant.ts';
import { createComplete } from './complete.ts';
import {
  type BrowserRequest,
  type ConnectStep,
  closed,
  type FlowParts,
  fail,
  failWith,
  flowContext,
  lacksFinish,
  refused,
} from './steps.ts';

type Consumed = NonNullable<Awaited<ReturnType<FlowParts['store']['consumeFlow']>>>;

export function createCallback(parts: FlowParts) {
  const { store, vault, provider, targets, clock, log } = parts;
  const complete = createComplete(parts);

  return async (integration: string, response: URLSearchParams, request: BrowserRequest): Promise<ConnectStep> => {
    const state = response.get('state');
    if (!state) return refused('invalid_state');
    if (!request.browser) return refused('other_browser');
    const consumed = await store.consumeFlow(digest(state), digest(request.browser), clock.now());
    if (!consumed) return refused('invalid_state');
    const { session } = consumed;
    const end = closed(session, clock.now());
    if (end) return end;
    try {
      return await exchange(integration, state, response, request, consumed);
    } catch (error) {
      // The store is away: the session stays pending, and the owner may try the link again.
      if (error instanceof StoreError) throw error;
      // The flow is over, whatever this is: a pending session would wait for nothing.
      log.error({ err: error, session: session.id, request_id: request.requestId }, 'connect: unexpected error');
      return fail(parts, session, request, session.integration, 'provider_error', 'unexpected_error');
    }
  };

  async function exchange(
    integration: string,
    state: string,
    response: URLSearchParams,
    request: BrowserRequest,
    { flow, session }: Consumed,
  ): Promise<ConnectStep> {
    const found = await targets.find(session.integration);
    if (found instanceof Refusal)
      return fail(parts, session, request, session.integration, 'integration_misconfigured');
    const { name } = found.provider;
    if (lacksFinish(session, found)) return fail(parts, session, request, name, 'invitation_cancelled');
    // One redirect URI for each integration: a response at another one is a mix-up (RFC 9700 4.4).
    if (flow.integration !== integration) return fail(parts, session, request, name, 'invalid_answer');

    // Parameters of the callback may say where the code is to be exchanged.
    const captured = capturedFrom(found.auth, response);
    const target = targets.targetOf(found, { params: flow.params, captured });
    await untilRevocationsEnd(parts, target);
    const answer = await provider.exchange(target, response, {
      state,
      nonce: vault.decrypt(flow.nonce, flowContext(flow, 'nonce')),
      verifier: vault.decrypt(flow.verifier, flowContext(flow, 'verifier')),
      redirectUri: flow.redirectUri,
      scopes: flow.scopes,
      issuer: flow.issuer,
      captured,
      dpopKey: await dpopKeyOf(session, found),
    });
    if (!answer.ok) return failWith(parts, session, request, name, answer.fault);
    const value = { ...answer.value, captured: { ...captured, ...answer.value.captured } };
    return complete(session, flow, found, value, request);
  }

  /**
   * The key of the connection that is renewed. The refresh tokens of public clients are bound to it (RFC 9449 5), and the
   * stored one is kept when the response has none.
   */
  async function dpopKeyOf(session: ConnectSession, { integration }: ResolvedIntegration): Promise<string | undefined> {
    if (integration.clientSecret !== null || integration.privateKey !== null) return undefined;
    const existing = await existingFor(store, session);
    const stored = existing && (await store.storedCredentials(existing.id));
    if (!existing || !stored?.credentials) return undefined;
    try {
      return parseStoredCredentials(decryptKeyMaterial(vault, existing, stored.credentials)).dpopKey;
    } catch (error) {
      log.warn({ err: error, connection: existing.id }, 'connect: the stored DPoP key does not open, using a new one');
      return undefined;
    }
  }
}

const capturedFrom = (auth: AuthMode, response: URLSearchParams): Record<string, unknown> =>
  isCode(auth)
    ? Object.fromEntries(
        Object.entries(auth.callback.capture).flatMap(([name, param]) =>
          response.has(param) ? [[name, response.get(param)]] : [],
        ),
      )
    : {};
