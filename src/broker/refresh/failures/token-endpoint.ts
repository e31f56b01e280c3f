// The token endpoint that a refresh is sent to: what its circuit is known by.
import { isCode, protectedResourceOf } from '../../../domain/auth-modes.ts';
import { placeholders } from '../../../domain/fields.ts';
import { connectionFields } from '../../../domain/provider.ts';
import type { Target } from '../../../domain/target.ts';
import { withoutQuery } from '../../../domain/urls.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';

const known = new WeakMap<Target, string>();

/**
 * Origin and path, with the parameters of integration and connection filled in; the issuer where the endpoint is discovered, and
 * the protected resource that a connection names, whose outage is not that of others.
 * Without the query, which may have secrets in it.
 */
export function tokenEndpoint(target: Target): string {
  const before = known.get(target);
  if (before !== undefined) return before;
  const { endpoints, issuer, resource } = target;
  const endpoint = withoutQuery(endpoints.refresh ?? endpoints.token ?? issuer ?? resource ?? '') ?? '';
  known.set(target, endpoint);
  return endpoint;
}

const several = new WeakMap<ResolvedIntegration, boolean>();

/** Whether connections of this integration may have token endpoints of their own, of which some are not known yet. */
export function hasSeveralEndpoints(found: ResolvedIntegration): boolean {
  const before = several.get(found);
  if (before !== undefined) return before;
  const has = namesConnections(found);
  several.set(found, has);
  return has;
}

function namesConnections({ integration, provider, auth }: ResolvedIntegration): boolean {
  const template =
    (isCode(auth) ? auth.refresh.url : undefined) ??
    integration.overrides.token_url ??
    ('token_url' in auth ? auth.token_url : undefined) ??
    ('issuer' in auth ? auth.issuer : undefined) ??
    protectedResourceOf(auth)?.url;
  const ofConnections = connectionFields(provider, auth);
  return template !== undefined && placeholders(template).some((name) => Object.hasOwn(ofConnections, name));
}
