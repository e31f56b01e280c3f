// The second step of the connect flow: the authorization response, checked and exchanged (RFC 6749 4.1.2, RFC 9207, RFC 9700).
// CSRF protection: `state` and browser binding are checked first.
import { isCode } from '../../../domain/auth-modes.ts';
import { Refusal } from '../../../domain/errors.ts';
import { isValid, type Values } from '../../../domain/fields.ts';
import type { GrantSource } from '../../../domain/grant-source.ts';
import { parseStoredCredentials } from '../../../domain/imported-credentials.ts';
import type { ConnectSession, Flow } from '../../../domain/integration.ts';
import { connectionFields } from '../../../domain/provider.ts';
import { targetAt } from '../../../domain/target.ts';
import { StoreError } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { isUnknownClient } from '../../resources/index.ts';
import { decryptKeyMaterial, digest } from '../../secrets/index.ts';
import { existingFor } from '../received-grant/store-grant.ts';
import { untilRevocationsEnd } from '../upstream-revocation/shared-grant.ts';
import { createBegin, type FlowSource } from './begin.ts';
import { isBoundTo, secretWith } from './browser-cookies.ts';
import { createComplete } from './complete.ts';
import { createOutcome } from './outcome.ts';
import { readCarried } from './posted-response.ts';
import {
  type BrowserRequest,
  type ConnectStep,
  type FlowParts,
  fail,
  failWith,
  flowContext,
  isOpen,
  lacksFinish,
  refused,
} from './steps.ts';
import { createStrayResponses } from './stray-responses.ts';

/** How providers refuse a `prompt` that they do not know. */
const UNSUPPORTED_PROMPT = ['invalid_request', 'account_selection_required', 'invalid_prompt'];

type Consumed = NonNullable<Awaited<ReturnType<FlowParts['store']['consumeFlow']>>>;

export function createCallback(parts: FlowParts) {
  const { store, vault, provider, targets, registrations, clock, log } = parts;
  const begin = createBegin(parts);
  const complete = createComplete(parts);
  const outcome = createOutcome(parts);
  const noteStray = createStrayResponses(parts);

  return async (
    integration: string,
    received: URLSearchParams,
    request: BrowserRequest,
    issuer?: string,
  ): Promise<ConnectStep> => {
    const carried = received.get('form_post');
    const response = carried === null ? received : readCarried(parts, integration, carried, issuer);
    const state = response?.get('state');
    if (!response) return refused('invalid_state');
    const none = request.cookies.length === 0 ? 'other_browser' : 'invalid_state';
    if (!state) {
      await noteStray(integration, response, request);
      return refused('invalid_state');
    }
    const stateDigest = digest(state);
    const known = await store.flowOf(stateDigest);
    if (!known) {
      await noteStray(integration, response, request);
      return refused(none);
    }
    const { sessionId, browserDigest } = known;
    const secret = secretWith(browserDigest, { id: sessionId }, request);
    if (secret === undefined) return refused(none);
    const consumed = await store.consumeFlow(stateDigest, browserDigest, clock.now());
    if (!consumed) return again(stateDigest, sessionId, request);
    const { session } = consumed;
    request.about?.(session);
    if (!isBoundTo(session, request)) return refused('other_browser');
    if (!isOpen(session, clock.now())) return outcome.of(session, request);
    try {
      const place = issuer === undefined ? integration : `${integration}/${issuer}`;
      const step = await exchange(place, state, response, request, consumed, secret);
      if (step.kind !== 'refused') return step;
      // As it is shown from now on: with what this browser may do, or how another tab has ended it meanwhile.
      const ended = await store.session(session.id);
      return ended && !isOpen(ended, clock.now()) ? outcome.of(ended, request) : step;
    } catch (error) {
      // The store is away: the session stays pending, and the owner may try the link again.
      if (error instanceof StoreError) throw error;
      // The flow is over, whatever this is: a pending session would wait for nothing.
      log.error({ err: error, session: session.id, request_id: request.requestId }, 'connect: unexpected error');
      return fail(parts, session, request, session.integration, 'provider_error', 'unexpected_error');
    }
  };

  /** The browser comes again with a response that has arrived already: it reloads, or was stopped. The code is not spent twice. */
  async function again(stateDigest: string, sessionId: string, request: BrowserRequest): Promise<ConnectStep> {
    const known = await store.flowOf(stateDigest);
    const session = await store.session(sessionId);
    if (!known?.isConsumed || !session) return refused('invalid_state');
    request.about?.(session);
    return outcome.afterExchange(session, request);
  }

  async function exchange(
    place: string,
    state: string,
    response: URLSearchParams,
    request: BrowserRequest,
    { flow, session }: Consumed,
    secret: string,
  ): Promise<ConnectStep> {
    const found = await targets.find(session.integration);
    if (found instanceof Refusal)
      return fail(parts, session, request, session.integration, 'integration_misconfigured');
    const { name } = found.provider;
    if (lacksFinish(session, found)) return fail(parts, session, request, name, 'invitation_cancelled');
    // The owner has chosen another one meanwhile.
    if (flow.integration !== session.integration) return fail(parts, session, request, name, 'invalid_answer');
    // One redirect URI for each integration, or each issuer: a response at another one is a mix-up (RFC 9700 4.4).
    if (!flow.redirectUri.endsWith(`/oauth2/callback/${place}`))
      return fail(parts, session, request, name, 'invalid_answer');

    // Parameters of the callback may say where the code is to be exchanged.
    const captured = capturedFrom(found, response);
    // Where the browser was sent, and as which client, whatever the resource says by now.
    const { source, isAsNewClient } = sourceOf(flow);
    const target = targetAt(targets.targetOf(found, { params: flow.params, captured }), source);
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
    if (!answer.ok) {
      if (source && !isAsNewClient && isUnknownClient(answer.fault, source)) {
        const step = await beginAsNewClient(source, { session, found, flow, secret }, request);
        if (step && step !== 'gone') return step;
      }
      if (flow.accountPrompt === 'select_account' && UNSUPPORTED_PROMPT.includes(answer.fault.code)) {
        const renewed = await existingFor(store, session);
        const { params } = flow;
        const step = await begin({ session, found, renewed, params, secret, binds: false, signInAgain: true }, request);
        if (step !== 'gone') return step;
      }
      return failWith(parts, session, request, name, answer.fault);
    }
    const value = { ...answer.value, source };
    if (value.unconfirmed) {
      const { why, outcome } = value.unconfirmed;
      const about = { session: session.id, integration: session.integration, request_id: request.requestId };
      log.warn({ ...about, why, outcome }, 'connect: what the callback names is not confirmed for the new token');
    }
    return complete.ofCode(session, flow, found, value, request);
  }

  /** Authenticated: it is what was encrypted. */
  function sourceOf(flow: Flow): Partial<FlowSource> {
    return flow.source === null
      ? {}
      : (JSON.parse(vault.decrypt(flow.source, flowContext(flow, 'source'))) as FlowSource);
  }

  /** The code is lost with the client that it was issued to. Undefined: there is no other client. */
  async function beginAsNewClient(
    { server, redirectUri, client }: GrantSource,
    {
      session,
      found,
      flow,
      secret,
    }: { session: ConnectSession; found: ResolvedIntegration; flow: Flow; secret: string },
    request: BrowserRequest,
  ): Promise<ConnectStep | 'gone' | undefined> {
    if (client.kind !== 'registered') return undefined;
    const { owner } = session;
    const place = { integration: found.integration.id, server, redirectUri, owner };
    const replaced = await registrations.replace(place, client.id);
    if (!replaced.ok) return undefined;
    const renewed = await existingFor(store, session);
    const { params } = flow;
    return begin({ session, found, renewed, params, secret, binds: false, isAsNewClient: true }, request);
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

/** What the browser says: nothing of it is proved, but that it looks like what the catalogue expects. */
function capturedFrom({ auth, provider }: ResolvedIntegration, response: URLSearchParams): Values {
  const captured: Values = {};
  if (!isCode(auth)) return captured;
  const fields = connectionFields(provider, auth);
  for (const [name, param] of Object.entries(auth.callback.capture)) {
    const value = response.get(param);
    const field = fields[name] ?? { pattern: provider.captured_patterns[name] };
    if (value && isValid(field, value)) captured[name] = value;
  }
  return captured;
}
