// The browser's way from an invitation to a connection (RFC 6749 4.1, RFC 7636, RFC 9207, RFC 9700).

import { type AuthMode, isCode } from '../../domain/auth-modes.ts';
import { type Connection, lifetime } from '../../domain/connection.ts';
import { type InputIssue, Refusal } from '../../domain/errors.ts';
import { fieldIssues, type Params } from '../../domain/fields.ts';
import { withDpopKey } from '../../domain/imported-credentials.ts';
import type { ConnectSession, Flow } from '../../domain/integration.ts';
import { connectionFields } from '../../domain/provider.ts';
import { SESSION_TTL_MS } from '../../domain/time-limits.ts';
import type {
  Clock,
  Logger,
  ProviderClient,
  ProviderFault,
  Store,
  Telemetry,
  TokenResponse,
  Vault,
} from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import type { TokenCache } from '../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../integrations/index.ts';
import { digest, encryptCredentials, newId, newSecret } from '../secrets/index.ts';
import { isDifferentIdentity, newConnection, type ReceivedGrant } from './new-connection.ts';

/** Where a browser comes from. `browser` is the secret of its cookie, if it has one. */
export interface Visit {
  browser: string | undefined;
  address: string | null;
  requestId: string;
}

/** What a browser is told, or where it is sent. */
export type Step =
  | { kind: 'redirect'; url: string; provider: string; browser?: string }
  | {
      kind: 'ask';
      provider: string;
      fields: Params;
      values: Record<string, string>;
      /** Empty the first time. */
      issues: InputIssue[];
    }
  | { kind: 'connected'; provider: string; label: string }
  | { kind: 'refused'; error: BrowserError; provider: string | null };

/** What can go wrong in front of an owner; also the `error` of a session and of a `return_url`. */
export type BrowserError =
  | 'not_found'
  | 'invitation_used'
  | 'invitation_expired'
  | 'other_browser'
  | 'invalid_state'
  | 'access_denied'
  | 'provider_error'
  | 'provider_unavailable'
  | 'invalid_answer'
  | 'identity_mismatch'
  | 'connection_gone'
  | 'integration_misconfigured';

interface Parts {
  store: Store;
  vault: Vault;
  provider: Pick<ProviderClient, 'authorizationUrl' | 'exchange'>;
  targets: Targets;
  tokenCache: TokenCache;
  access: Pick<Access, 'recordBrowser'>;
  telemetry: Pick<Telemetry, 'connect'>;
  clock: Clock;
  log: Logger;
  publicUrl: string;
}

export type ConnectFlow = ReturnType<typeof createConnectFlow>;

export function createConnectFlow(parts: Parts) {
  const { store, vault, provider, targets, tokenCache, access, telemetry, clock, log, publicUrl } = parts;
  const flowContext = (stateDigest: string, column: 'verifier' | 'nonce') => ({ row: `flows/${stateDigest}`, column });
  const redirectUri = (integration: string) => `${publicUrl}/oauth2/callback/${integration}`;
  const refused = (error: BrowserError, name: string | null = null): Step => ({
    kind: 'refused',
    error,
    provider: name,
  });

  /** Why this invitation leads nowhere; undefined when it is open. */
  function closed(session: ConnectSession | undefined): Step | undefined {
    if (!session) return refused('not_found');
    if (session.status === 'expired' || (session.status === 'pending' && session.expiresAt <= clock.now())) {
      return refused('invitation_expired');
    }
    return session.status === 'pending' ? undefined : refused('invitation_used');
  }

  /** Ends the session in failure and tells the owner: at the `return_url`, or on a page of ours. */
  async function fail(session: ConnectSession, error: BrowserError, told: string, visit: Visit, name: string) {
    const { integration, owner, connectionId } = session;
    const subject = { integration, owner, connectionId, detail: told };
    await store.failSession(
      session.id,
      told,
      access.recordBrowser(from(visit), 'connection.connect_failed', subject, 'failed'),
    );
    telemetry.connect(integration, error);
    log.info({ session: session.id, integration, error: told, request_id: visit.requestId }, 'connect: failed');
    if (session.returnUrl === null) return refused(error, name);
    const url = withQuery(session.returnUrl, { status: 'error', error: told });
    return { kind: 'redirect', url, provider: name } satisfies Step;
  }

  const failWith = (session: ConnectSession, fault: ProviderFault, visit: Visit, name: string) => {
    log.warn(
      { session: session.id, kind: fault.kind, code: fault.code, detail: fault.detail },
      'connect: provider fault',
    );
    return fail(session, browserError(fault), toldError(fault), visit, name);
  };

  /** The first step: from the invitation on to the provider, or to a page that asks what is missing. */
  async function open(secret: string, visit: Visit, given?: Record<string, string>): Promise<Step> {
    const session = await store.sessionBySecret(digest(secret));
    const end = closed(session);
    if (end || !session) return end ?? refused('not_found');
    // Before anything is shown or fails in its name; `beginFlow` decides when two browsers come at once.
    const isOther = session.browserDigest !== null && session.browserDigest !== digest(visit.browser ?? '');
    if (isOther) return refused('other_browser');
    const found = await targets.find(session.integration);
    if (found instanceof Refusal) return refused('integration_misconfigured');

    const renewed = session.connectionId === null ? undefined : await store.connection(session.connectionId);
    const params = { ...renewed?.params, ...given, ...session.params };
    const fields = connectionFields(found.provider, found.auth);
    const issues = fieldIssues('params', fields, params);
    if (issues.length > 0) {
      return { kind: 'ask', provider: found.provider.name, fields, values: params, issues: given ? issues : [] };
    }

    const [state, nonce, verifier] = [newSecret(), newSecret(), newSecret()];
    const target = targets.targetOf(found, { params, captured: {} });
    const scopes = session.scopes ?? found.integration.scopes;
    const request = { state, nonce, verifier, scopes, redirectUri: redirectUri(session.integration) };
    const authorization = await provider.authorizationUrl(target, request);
    if (!authorization.ok) {
      // An outage leaves the invitation open: the owner may try the link again.
      if (authorization.fault.kind === 'transient') return refused('provider_unavailable', found.provider.name);
      return failWith(session, authorization.fault, visit, found.provider.name);
    }

    const browser = visit.browser ?? newSecret();
    const stateDigest = digest(state);
    const now = clock.now();
    const flow: Flow = {
      stateDigest,
      sessionId: session.id,
      integration: session.integration,
      browserDigest: digest(browser),
      verifier: vault.encrypt(verifier, flowContext(stateDigest, 'verifier')),
      nonce: vault.encrypt(nonce, flowContext(stateDigest, 'nonce')),
      issuer: authorization.value.issuer,
      redirectUri: request.redirectUri,
      scopes,
      params,
      expiresAt: now + SESSION_TTL_MS,
    };
    const begun = await store.beginFlow(flow, now);
    if (begun === 'other_browser') return refused('other_browser', found.provider.name);
    if (begun === 'gone') return closed(await store.session(session.id)) ?? refused('invitation_used');
    return { kind: 'redirect', url: authorization.value.url, provider: found.provider.name, browser };
  }

  /** The last step: the authorization response, checked, exchanged, stored. */
  async function callback(integration: string, response: URLSearchParams, visit: Visit): Promise<Step> {
    const state = response.get('state');
    if (!state) return refused('invalid_state');
    if (!visit.browser) return refused('other_browser');
    const taken = await store.consumeFlow(digest(state), digest(visit.browser), clock.now());
    if (!taken) return refused('invalid_state');
    const { flow, session } = taken;
    const end = closed(session);
    if (end) return end;

    const found = await targets.find(session.integration);
    if (found instanceof Refusal) {
      return fail(session, 'integration_misconfigured', 'integration_misconfigured', visit, session.integration);
    }
    const name = found.provider.name;
    // One redirect URI for each integration: an answer at another one is a mix-up (RFC 9700 4.4).
    if (flow.integration !== integration) return fail(session, 'invalid_answer', 'invalid_answer', visit, name);

    // What the callback brings may say where the code is to be exchanged.
    const captured = capturedFrom(found.auth, response);
    const target = targets.targetOf(found, { params: flow.params, captured });
    const answer = await provider.exchange(target, response, {
      state,
      nonce: vault.decrypt(flow.nonce, flowContext(flow.stateDigest, 'nonce')),
      verifier: vault.decrypt(flow.verifier, flowContext(flow.stateDigest, 'verifier')),
      redirectUri: flow.redirectUri,
      scopes: flow.scopes,
      issuer: flow.issuer,
    });
    if (!answer.ok) return failWith(session, answer.fault, visit, name);
    const value = { ...answer.value, captured: { ...captured, ...answer.value.captured } };
    return remember(session, flow, found, value, visit, name);
  }

  async function remember(
    session: ConnectSession,
    flow: Flow,
    { auth }: ResolvedIntegration,
    answer: TokenResponse,
    visit: Visit,
    name: string,
  ): Promise<Step> {
    const now = clock.now();
    const { integration, owner, label } = session;
    const brought = broughtBy(answer, flow, now);
    // More than once: the slot may be taken, or freed, by somebody else in between.
    for (const _ of [1, 2, 3]) {
      const existing = await slot(session);
      if (session.connectionId !== null && existing?.status !== 'active' && existing?.status !== 'needs_reauth') {
        return fail(session, 'connection_gone', 'connection_gone', visit, name);
      }
      if (isDifferentIdentity(existing?.identity, brought.identity)) {
        return fail(session, 'identity_mismatch', 'identity_mismatch', visit, name);
      }
      const id = existing?.id ?? newId('con', now);
      const metadata = session.metadata ?? existing?.metadata ?? {};
      const connection = newConnection(
        id,
        { integration, owner, label, params: flow.params, metadata },
        auth,
        brought,
        now,
        existing,
      );
      const grant = encryptCredentials(vault, id, brought.grant);
      const action = existing ? 'connection.renewed' : 'connection.created';
      const by = access.recordBrowser(from(visit), action, { integration, owner, connectionId: id });
      const done = existing
        ? await store.renewConnection(connection, grant, session.id, by)
        : await store.addConnection(connection, grant, session.id, by);
      if (done === 'session_over') return refused('invitation_used', name);
      if (done === 'gone' || (typeof done === 'object' && 'exists' in done)) continue;

      tokenCache.invalidate(connection, done === 'added' ? connection.generation : done.generation);
      telemetry.connect(integration, 'ok');
      log.info({ connection: id, integration, action, lifetime_ms: lifetime(connection) }, 'connect: done');
      if (session.returnUrl === null) return { kind: 'connected', provider: name, label };
      return {
        kind: 'redirect',
        provider: name,
        url: withQuery(session.returnUrl, { status: 'success', connection_id: id }),
      };
    }
    return fail(session, 'connection_gone', 'connection_gone', visit, name);
  }

  /** The live connection that the session is to renew: the one it names, or the one in its place. */
  async function slot(session: ConnectSession): Promise<Connection | undefined> {
    if (session.connectionId !== null) return store.connection(session.connectionId);
    const rows = await store.servedRowsByOwner(session.integration, session.owner, session.label);
    return rows.map((row) => row.connection).find((c) => c.status !== 'revoked');
  }

  return { open, callback };
}

const from = ({ address, requestId }: Visit) => ({ address, requestId });

function broughtBy(answer: TokenResponse, flow: Flow, now: number): ReceivedGrant {
  return {
    grant: {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken ?? null,
      idToken: answer.idToken ?? null,
      credentials: withDpopKey(null, answer.dpopKey),
    },
    tokenType: answer.tokenType,
    scopes: answer.scopes ?? flow.scopes,
    expiresAt: answer.expiresIn === undefined ? null : now + answer.expiresIn * 1_000,
    idleIn: answer.idleIn,
    endsIn: answer.endsIn,
    captured: answer.captured,
    identity: answer.identity ?? null,
  };
}

const capturedFrom = (auth: AuthMode, response: URLSearchParams): Record<string, unknown> =>
  isCode(auth)
    ? Object.fromEntries(
        Object.entries(auth.callback.capture).flatMap(([name, param]) =>
          response.has(param) ? [[name, response.get(param)]] : [],
        ),
      )
    : {};

function browserError(fault: ProviderFault): BrowserError {
  switch (fault.kind) {
    case 'denied':
      return fault.code === 'access_denied' ? 'access_denied' : 'provider_error';
    case 'transient':
      return 'provider_unavailable';
    case 'misconfigured':
      return 'integration_misconfigured';
    case 'grant_dead':
    case 'invalid':
    case 'identity_changed':
      return 'invalid_answer';
  }
}

/** What the caller is told: the provider's own code where it refused, ours where we did. */
const toldError = (fault: ProviderFault): string =>
  fault.kind === 'transient' || fault.kind === 'misconfigured' ? browserError(fault) : fault.code;

function withQuery(url: string, values: Record<string, string>): string {
  const target = new URL(url);
  for (const [name, value] of Object.entries(values)) target.searchParams.set(name, value);
  return target.href;
}
