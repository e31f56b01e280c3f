// Begins an authorization flow: from a connect session to the provider's authorization endpoint (RFC 6749 4.1.1, RFC 7636).
// CSRF protection: `state` and browser binding begin here; callback.ts checks them.
import { isDeepStrictEqual } from 'node:util';
import { isCode } from '../../../domain/auth-modes.ts';
import type { Connection } from '../../../domain/connection.ts';
import type { GrantSource } from '../../../domain/grant-source.ts';
import type { ConnectSession, Flow } from '../../../domain/integration.ts';
import { targetAt } from '../../../domain/target.ts';
import { DISCOVERY_DEADLINE_MS, SESSION_TTL_MS, WRONG_ACCOUNT_MEMORY_MS } from '../../../domain/time-limits.ts';
import type { ProviderFault } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { digest, newSecret } from '../../secrets/index.ts';
import { type BrowserRequest, type ConnectStep, type FlowParts, failWith, flowContext, refused } from './steps.ts';

export interface Begin {
  session: ConnectSession;
  found: ResolvedIntegration;
  /** The connection that is renewed. */
  renewed: Connection | undefined;
  params: Record<string, string>;
  /** Of the browser's cookie for this session. */
  secret: string;
  /** The session is bound to this browser from now on. */
  binds: boolean;
  /** The owner came with another account, and tries again. */
  chooseAccount?: boolean;
  /** The provider does not support the `prompt` that has the owner choose an account: they sign in again instead. */
  signInAgain?: boolean;
  /** The server did not know the client any more, which is another one now: that is tried once. */
  isAsNewClient?: boolean;
}

/** Where a flow leads, encrypted with it: its code is exchanged there. */
export interface FlowSource {
  source: GrantSource;
  isAsNewClient: boolean;
}

/** `gone`: the session has ended meanwhile. */
export function createBegin(parts: FlowParts) {
  const { store, vault, provider, targets, sources, clock, publicUrl } = parts;

  return async (begin: Begin, request: BrowserRequest): Promise<ConnectStep | 'gone'> => {
    const { session, found, renewed, params, secret, binds, chooseAccount, signInAgain, isAsNewClient = false } = begin;
    const { name } = found.provider;
    const [state, nonce, verifier] = [newSecret(), newSecret(), newSecret()];
    const known = targets.targetOf(found, { params, captured: {} });
    // A renewal begins with what the resource says by now.
    const since = renewed && session.createdAt - DISCOVERY_DEADLINE_MS;
    const located = await sources.find(found, known, { owner: session.owner, since });
    if (!located.ok) return cannotBegin(session, request, name, located.fault);
    const source = located.value?.source;
    const target = targetAt(known, source);
    const scopes = scopesToAsk(session, found, renewed, located.value?.scopes);
    const redirectUri = source?.redirectUri ?? `${publicUrl}/oauth2/callback/${session.integration}`;
    const optionalScopes = session.scopes === null ? unnamedScopes(found) : [];
    const account = renewed?.account ?? null;
    const remembered = clock.now() - WRONG_ACCOUNT_MEMORY_MS;
    const cameWrong =
      renewed !== undefined &&
      (chooseAccount || (await store.hasFailedSession(session, 'identity_mismatch', remembered)));
    const choose = signInAgain ? 'login' : cameWrong ? 'select' : undefined;
    const asked = { state, nonce, verifier, redirectUri, scopes, optionalScopes, account, choose } as const;
    const authorization = await provider.authorizationUrl(target, asked);
    if (!authorization.ok) return cannotBegin(session, request, name, authorization.fault);

    const stateDigest = digest(state);
    const now = clock.now();
    const place = { stateDigest, sessionId: session.id, integration: session.integration };
    const flow: Flow = {
      ...place,
      browserDigest: digest(secret),
      verifier: vault.encrypt(verifier, flowContext(place, 'verifier')),
      nonce: vault.encrypt(nonce, flowContext(place, 'nonce')),
      issuer: authorization.value.issuer,
      redirectUri,
      scopes: authorization.value.scopes,
      params,
      accountPrompt: authorization.value.accountPrompt,
      source: source
        ? vault.encrypt(
            JSON.stringify(flowSource({ ...source, asked: authorization.value.scopes }, isAsNewClient)),
            flowContext(place, 'source'),
          )
        : null,
      expiresAt: now + SESSION_TTL_MS,
    };
    const begun = await store.beginFlow(flow, now, binds);
    if (begun === 'other_browser') return refused('other_browser', name);
    return begun === 'gone' ? 'gone' : { kind: 'redirect', url: authorization.value.url, provider: name };
  };

  async function cannotBegin(
    session: ConnectSession,
    request: BrowserRequest,
    name: string,
    fault: ProviderFault,
  ): Promise<ConnectStep> {
    // The session stays pending during an outage: the owner may try the link again.
    if (fault.kind === 'transient') return refused('provider_unavailable', name);
    return failWith(parts, session, request, name, fault);
  }
}

const flowSource = (source: GrantSource, isAsNewClient: boolean): FlowSource => ({ source, isAsNewClient });

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
  offered: readonly string[] = [],
): string[] {
  const named = scopes ?? integration.scopes;
  // What a protected resource asks for counts where no one names scopes.
  const wanted = scopes === null && named.length === 0 ? [...offered] : named;
  if (!renewed || replaceScopes || !isCode(auth)) return wanted;
  const kept = renewed.scopes.filter((scope) => !auth.scopes_not_asked.includes(scope));
  return [...new Set([...wanted, ...kept])];
}
