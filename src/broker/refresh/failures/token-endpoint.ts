// The token endpoint that a refresh is sent to: what its circuit is known by.
import type { Target } from '../../../domain/target.ts';
import { withoutQuery } from '../../../domain/urls.ts';

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
