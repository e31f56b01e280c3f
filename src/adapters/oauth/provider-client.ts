// The OAuth adapter's entry: `ProviderClient` over OAuth 2.0 and OpenID Connect. Only this folder uses openid-client.
import { fetchUserInfo } from 'openid-client';
import { accountOf } from '../../domain/account.ts';
import type { CodeMode, MintedMode } from '../../domain/auth-modes.ts';
import { isCode, isStatic } from '../../domain/auth-modes.ts';
import { parseStoredCredentials } from '../../domain/imported-credentials.ts';
import { type Target, targetAt } from '../../domain/target.ts';
import type {
  ClientAssertions,
  Clock,
  ProviderClient,
  ProviderFault,
  ProviderResult,
  RefreshRequest,
  TokenResponse,
} from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { authorizationUrl } from './authorization-request.ts';
import { clientSecrets } from './client-authentication.ts';
import { createCodeExchange } from './code-exchange.ts';
import { createConfigurations } from './configurations.ts';
import { createDiscovery } from './discovery.ts';
import { createDpopKeys } from './dpop.ts';
import { isIssuedWith, type VerifyIdTokenSignature, validateRefreshedIdToken } from './id-token.ts';
import { runLookups } from './lookups.ts';
import { createTokenMint, type SignAssertion } from './mint.ts';
import { classifyProviderError } from './provider-errors.ts';
import { createTokenRefresh } from './refresh-request.ts';
import { createRevocation } from './revocation.ts';
import { withSendGate } from './send-gate.ts';

export interface ProviderClientParts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  signAssertion: SignAssertion;
  clientAssertions: ClientAssertions;
  clock: Clock;
  /** Of a request that spends a refresh token; two minutes by default. */
  refreshDeadlineMs?: number | undefined;
}

export function createProviderClient(parts: ProviderClientParts): ProviderClient {
  const { outbound, clock } = parts;
  const configurations = createConfigurations(
    outbound,
    createDiscovery(outbound, clock),
    parts.clientAssertions,
    parts.refreshDeadlineMs,
  );
  const dpopKeys = createDpopKeys();
  const { exchange } = createCodeExchange({ ...parts, dpopKeys });
  const { refresh } = createTokenRefresh({ ...parts, dpopKeys });
  const { mint } = createTokenMint({ ...parts, configurations, dpopKeys });

  return neverRejecting(clock, {
    async authorizationUrl(target, request) {
      const codeTarget = asCodeTarget(target);
      const configured = await configurations.get(codeTarget);
      if (!configured.ok) return configured;
      const secrets = [request.state, request.nonce, request.verifier, ...clientSecrets(target)];
      const context = { what: 'authorization request', secrets, now: clock.now() };
      return authorizationUrl(codeTarget, configured.value, request, context);
    },

    async exchange(target, response, expected) {
      const codeTarget = asCodeTarget(target);
      const configured = await configurations.get(codeTarget);
      if (!configured.ok) return configured;
      return livingFromRequest(clock, () => exchange(codeTarget, configured.value, response, expected));
    },

    async lookUp(target, accessToken, known) {
      const { auth, values } = asCodeTarget(target);
      const found = await runLookups(outbound, asCodeTarget(target), accessToken, known, true);
      const captured = { ...known, ...found.captured };
      const account = accountOf(auth, { values, captured, identity: null });
      return { captured, account: account ?? (found.accountUnavailable ? 'unavailable' : undefined) };
    },

    prepare(target) {
      if (!isCode(target.auth) || configurations.known(asCodeTarget(target))) return undefined;
      return configurations.get(asCodeTarget(target)).then((it) => (it.ok ? undefined : it.fault));
    },

    refresh: (target, request) => livingFromRequest(clock, () => refreshOrMint(target, request)),

    async identityOf(target, idToken, accessToken) {
      if (!isCode(target.auth) || target.issuer === null) return undefined;
      if (accessToken !== undefined && !isIssuedWith(idToken, accessToken)) return undefined;
      const configured = await configurations.get(asCodeTarget(target));
      if (!configured.ok) return undefined;
      const { jwks_uri: jwksUri } = configured.value.metadata;
      const expected = { issuer: target.issuer, clientId: target.clientId, jwksUri, now: 0 };
      const checked = await validateRefreshedIdToken(idToken, null, expected, parts.verifyIdTokenSignature);
      return checked.verdict === 'valid' ? checked.identity : undefined;
    },

    async userinfoEndpoint(target) {
      const known = target.endpoints.userinfo;
      if (known !== undefined || !isCode(target.auth)) return { ok: true, value: known };
      const configured = await configurations.get(asCodeTarget(target));
      return configured.ok ? { ok: true, value: configured.value.metadata.userinfo_endpoint } : configured;
    },

    async userinfo(target, accessToken, subject) {
      const configured = await configurations.get(asCodeTarget(target));
      if (!configured.ok) return configured;
      if (configured.value.metadata.userinfo_endpoint === undefined) return { ok: true, value: {} };
      return { ok: true, value: await fetchUserInfo(configured.value.config, accessToken, subject) };
    },

    revoke: createRevocation({ outbound, configurations, clock }).revoke,
  });

  function refreshOrMint(target: Target, request: RefreshRequest): Promise<ProviderResult<TokenResponse>> {
    if (isStatic(target.auth)) throw new Error(`a connection in the mode ${target.auth.mode} is never refreshed`);
    if (!isCode(target.auth))
      return withSendGate(request.mayStillSend, () => mint(target as Target<MintedMode>, request));
    // Where the grant comes from, and nowhere else: what the resource says by now does not matter.
    const { source } = parseStoredCredentials(request.credentials.credentials);
    const codeTarget = targetAt(asCodeTarget(target), source);
    const known = configurations.known(codeTarget);
    return known ? refresh(codeTarget, known, request) : configureAndRefresh(codeTarget, request);
  }

  async function configureAndRefresh(
    codeTarget: Target<CodeMode>,
    request: RefreshRequest,
  ): Promise<ProviderResult<TokenResponse>> {
    // A failure here is before the refresh token was sent: nothing is spent.
    const configured = await configurations.get(codeTarget);
    return configured.ok ? refresh(codeTarget, configured.value, request) : configured;
  }
}

/** What a library throws, and no one expected, is a fault like any other: a flow ends, a refresh is tried again. */
function neverRejecting(clock: Clock, client: ProviderClient): ProviderClient {
  const faultOf = (what: string, target: Target, error: unknown): ProviderFault =>
    classifyProviderError(error, { what, secrets: clientSecrets(target), now: clock.now() });
  const guarded =
    <Given extends [Target, ...unknown[]], T>(what: string, call: (...given: Given) => Promise<ProviderResult<T>>) =>
    async (...given: Given): Promise<ProviderResult<T>> => {
      try {
        return await call(...given);
      } catch (error) {
        return { ok: false, fault: faultOf(what, given[0], error) };
      }
    };
  return {
    authorizationUrl: guarded('authorization request', client.authorizationUrl),
    exchange: guarded('code exchange', client.exchange),
    prepare: (target) => client.prepare(target)?.catch((error) => faultOf('discovery', target, error)),
    lookUp: (target, accessToken, known) =>
      client.lookUp(target, accessToken, known).catch(() => ({ captured: known, account: 'unavailable' as const })),
    refresh: guarded('refresh', client.refresh),
    identityOf: (...given) => client.identityOf(...given).catch(() => undefined),
    userinfoEndpoint: guarded('discovery', client.userinfoEndpoint),
    userinfo: guarded('userinfo request', client.userinfo),
    revoke: guarded('revocation', client.revoke),
  };
}

/**
 * A token lives from when its response was made (RFC 6749 section 5.1). When that was is not known: it may have been on its
 * way, or have waited for a frozen process to read it, for all of the time since the request began, which is therefore counted.
 */
async function livingFromRequest(
  clock: Clock,
  request: () => Promise<ProviderResult<TokenResponse>>,
): Promise<ProviderResult<TokenResponse>> {
  const begunAt = clock.monotonic();
  const result = await request();
  if (!result.ok || result.value.expiresIn === undefined) return result;
  const expiresIn = result.value.expiresIn - (clock.monotonic() - begunAt) / 1_000;
  return { ok: true, value: { ...result.value, expiresIn: Math.max(0, expiresIn) } };
}

function asCodeTarget(target: Target): Target<CodeMode> {
  if (isCode(target.auth)) return target as Target<CodeMode>;
  throw new Error(`mode ${target.auth.mode} has no authorization request`);
}
