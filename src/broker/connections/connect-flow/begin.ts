// The first step of the connect flow: from the connect URL to the provider's authorization endpoint (RFC 6749 4.1.1, RFC 7636).
// CSRF protection: `state` and browser binding begin here; callback.ts checks them.
import { isDeepStrictEqual } from 'node:util';
import { isCode } from '../../../domain/auth-modes.ts';
import type { Connection } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import { asMeant, fieldIssues } from '../../../domain/fields.ts';
import type { ConnectSession, Flow } from '../../../domain/integration.ts';
import { connectionFields } from '../../../domain/provider.ts';
import { SESSION_TTL_MS } from '../../../domain/time-limits.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { digest, newSecret } from '../../secrets/index.ts';
import { existingFor } from '../received-grant/store-grant.ts';
import { confirmAgain } from './confirm-again.ts';
import {
  type BrowserRequest,
  type ConnectStep,
  closed,
  type FlowParts,
  failWith,
  flowContext,
  lacksFinish,
  refused,
} from './steps.ts';

export function createBegin(parts: FlowParts) {
  const { store, vault, provider, targets, clock, publicUrl } = parts;

  return async (secret: string, request: BrowserRequest, given?: Record<string, string>): Promise<ConnectStep> => {
    const session = await store.sessionBySecret(digest(secret));
    const isBound = !!session && session.browserDigest === digest(request.browser ?? '');
    const again = isBound ? await confirmAgain(parts, session, session.integration) : undefined;
    const end = again ?? closed(session, clock.now());
    if (end || !session) return end ?? refused('not_found');
    // Before anything is shown or fails for this session. `beginFlow` decides when two browsers come at once.
    const isOther = session.browserDigest !== null && session.browserDigest !== digest(request.browser ?? '');
    if (isOther) return refused('other_browser');
    const found = await targets.find(session.integration);
    if (found instanceof Refusal) return refused('integration_misconfigured');
    if (lacksFinish(session, found)) return refused('invitation_cancelled');
    const { name } = found.provider;

    const renewed = await existingFor(store, session);
    const fields = connectionFields(found.provider, found.auth);
    const typed = asMeant(fields, given ?? {});
    const params = { ...(session.connectionId !== null && renewed?.params), ...typed, ...session.params };
    const issues = fieldIssues('params', fields, params);
    if (issues.length > 0) return { kind: 'ask', provider: name, fields, values: params, issues: given ? issues : [] };

    const [state, nonce, verifier] = [newSecret(), newSecret(), newSecret()];
    const target = targets.targetOf(found, { params, captured: {} });
    const scopes = scopesToAsk(session, found, renewed);
    const redirectUri = `${publicUrl}/oauth2/callback/${session.integration}`;
    const optionalScopes = session.scopes === null ? unnamedScopes(found) : [];
    const asked = { state, nonce, verifier, redirectUri, scopes, optionalScopes };
    const authorization = await provider.authorizationUrl(target, asked);
    if (!authorization.ok) {
      // The session stays pending during an outage: the owner may try the link again.
      if (authorization.fault.kind === 'transient') return refused('provider_unavailable', name);
      return failWith(parts, session, request, name, authorization.fault);
    }

    const browser = request.browser ?? newSecret();
    const stateDigest = digest(state);
    const now = clock.now();
    const place = { stateDigest, sessionId: session.id, integration: session.integration };
    const flow: Flow = {
      ...place,
      browserDigest: digest(browser),
      verifier: vault.encrypt(verifier, flowContext(place, 'verifier')),
      nonce: vault.encrypt(nonce, flowContext(place, 'nonce')),
      issuer: authorization.value.issuer,
      redirectUri,
      scopes: authorization.value.scopes,
      params,
      expiresAt: now + SESSION_TTL_MS,
    };
    const begun = await store.beginFlow(flow, now);
    if (begun === 'other_browser') return refused('other_browser', name);
    if (begun === 'gone') return closed(await store.session(session.id), clock.now()) ?? refused('invitation_used');
    return { kind: 'redirect', url: authorization.value.url, provider: name, browser };
  };
}

/** The scopes of the integration that no admin named: the provider's defaults. */
function unnamedScopes({ integration: { scopes, scopesNamed }, auth }: ResolvedIntegration): readonly string[] {
  const named = scopesNamed ?? !('default_scopes' in auth && isDeepStrictEqual(scopes, auth.default_scopes));
  return named ? [] : scopes;
}

/** A provider grants what is asked for: a renewal that asked for less would take scopes away (RFC 6749 3.3). */
function scopesToAsk(
  { scopes, replaceScopes }: Pick<ConnectSession, 'scopes' | 'replaceScopes'>,
  { auth, integration }: ResolvedIntegration,
  renewed: Connection | undefined,
): string[] {
  const wanted = scopes ?? integration.scopes;
  if (!renewed || replaceScopes || !isCode(auth)) return wanted;
  const kept = renewed.scopes.filter((scope) => !auth.scopes_not_asked.includes(scope));
  return [...new Set([...wanted, ...kept])];
}
