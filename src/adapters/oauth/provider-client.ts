// Speaking with third parties: OAuth 2.0, OpenID Connect and what is near them. All of openid-client stays in here and
// in `oauth/`.

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
import { createBind } from './dpop.ts';
import type { VerifyIdTokenSignature } from './id-token.ts';
import { createMinting, type SignAssertion } from './mint.ts';
import { createRefreshRequest } from './refresh-request.ts';
import { createRevocation } from './revocation.ts';

interface Parts {
  outbound: Outbound;
  verifyIdTokenSignature: VerifyIdTokenSignature;
  signAssertion: SignAssertion;
  clock: Clock;
}

export function createProviderClient(parts: Parts): ProviderClient {
  const { outbound, clock } = parts;
  const configure = createConfigurations(outbound, createDiscovery(outbound, clock));
  const bind = createBind();
  const exchange = createCodeExchange({ ...parts, bind });
  const renew = createRefreshRequest({ ...parts, bind });
  const mint = createMinting({ ...parts, configure, bind });

  return {
    async authorizationUrl(target, request) {
      const asked = byBrowser(target);
      const configured = await configure(asked);
      if (!configured.ok) return configured;
      const secrets = [request.state, request.nonce, request.verifier, ...clientSecrets(target)];
      const doing = { what: 'authorization request', secrets, now: clock.now() };
      return authorizationUrl(asked, configured.value, request, doing);
    },

    async exchange(target, response, expected) {
      const asked = byBrowser(target);
      const configured = await configure(asked);
      return configured.ok ? exchange(asked, configured.value, response, expected) : configured;
    },

    async refresh(target, renewal) {
      if (isStatic(target.auth)) throw new Error(`a connection in the mode ${target.auth.mode} is never renewed`);
      if (!isCode(target.auth)) return mint(target as Target<MintedMode>, renewal);
      const asked = byBrowser(target);
      // Nothing was sent: what discovery did not answer has spent nothing.
      const configured = await configure(asked);
      return configured.ok ? renew(asked, configured.value, renewal) : configured;
    },

    revoke: createRevocation({ outbound, configure, clock }),
  };
}

function byBrowser(target: Target): Target<CodeMode> {
  if (isCode(target.auth)) return target as Target<CodeMode>;
  throw new Error(`a connection in the mode ${target.auth.mode} is not made in a browser`);
}
