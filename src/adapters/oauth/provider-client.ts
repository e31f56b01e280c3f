// The OAuth adapter's entry: `ProviderClient` over OAuth 2.0 and OpenID Connect. Only this folder uses openid-client.

import type { CodeMode, MintedMode } from '../../domain/auth-modes.ts';
import { isCode, isStatic } from '../../domain/auth-modes.ts';
import type { Target } from '../../domain/target.ts';
import type { Clock, ProviderClient } from '../../ports/index.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { authorizationUrl } from './authorization-request.ts';
import { clientSecrets } from './client-authentication.ts';
import { createCodeExchange } from './code-exchange.ts';
import { createConfigurations } from './configurations.ts';
import { createDiscovery } from './discovery.ts';
import { createDpopKeys } from './dpop.ts';
import { type VerifyIdTokenSignature, validateRefreshedIdToken } from './id-token.ts';
import { createTokenMint, type SignAssertion } from './mint.ts';
import { createTokenRefresh } from './refresh-request.ts';
import { createRevocation } from './revocation.ts';

export interface ProviderClientParts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  signAssertion: SignAssertion;
  clock: Clock;
}

export function createProviderClient(parts: ProviderClientParts): ProviderClient {
  const { outbound, clock } = parts;
  const configurations = createConfigurations(outbound, createDiscovery(outbound, clock));
  const dpopKeys = createDpopKeys();
  const { exchange } = createCodeExchange({ ...parts, dpopKeys });
  const { refresh } = createTokenRefresh({ ...parts, dpopKeys });
  const { mint } = createTokenMint({ ...parts, configurations, dpopKeys });

  return {
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
      return configured.ok ? exchange(codeTarget, configured.value, response, expected) : configured;
    },

    async refresh(target, request) {
      if (isStatic(target.auth)) throw new Error(`a connection in the mode ${target.auth.mode} is never refreshed`);
      if (!isCode(target.auth)) return mint(target as Target<MintedMode>, request);
      const codeTarget = asCodeTarget(target);
      // A failure here is before the refresh token was sent: nothing is spent.
      const configured = await configurations.get(codeTarget);
      return configured.ok ? refresh(codeTarget, configured.value, request) : configured;
    },

    async identityOf(target, idToken) {
      if (!isCode(target.auth) || target.issuer === null) return undefined;
      const configured = await configurations.get(asCodeTarget(target));
      if (!configured.ok) return undefined;
      const { jwks_uri: jwksUri } = configured.value.metadata;
      const expected = { issuer: target.issuer, clientId: target.clientId, jwksUri, now: 0 };
      const checked = await validateRefreshedIdToken(idToken, null, expected, parts.verifyIdTokenSignature);
      return checked.verdict === 'valid' ? checked.identity : undefined;
    },

    revoke: createRevocation({ outbound, configurations, clock }).revoke,
  };
}

function asCodeTarget(target: Target): Target<CodeMode> {
  if (isCode(target.auth)) return target as Target<CodeMode>;
  throw new Error(`mode ${target.auth.mode} has no authorization request`);
}
