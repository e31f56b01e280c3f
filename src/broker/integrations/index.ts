// The integrations room: providers set up in this deployment, where their requests go, and whose JWTs they make trusted.
import type { Theme } from '../../domain/theme.ts';
import type { Clock, Store } from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import type { Cache, CallerCache } from '../cache/index.ts';
import { createIntegrationAdmin, type IntegrationAdmin } from './integrations.ts';
import { createRequestedScopes, type RequestedScopes } from './scopes/requested-scopes.ts';
import { createChangePermissions, type MayNotChange } from './set-up/change-permissions.ts';
import { createIntegrationPlanner, type IntegrationPlanner, type PlannerParts } from './set-up/planner.ts';
import { createTargets, type Targets } from './targets.ts';
import { createThemes, type Themes } from './themes/themes.ts';
import { createTrustedIssuers, type TrustedIssuers } from './trusted-issuers.ts';

export { type IntegrationAdmin, integrationInUse } from './integrations.ts';
export { isShadowedBy, type OpenIdClient } from './openid-clients.ts';
export { closeOutdated } from './outdated-circuits.ts';
export type { RequestedScopes } from './scopes/requested-scopes.ts';
export { decidedAgain } from './set-up/decided-again.ts';
export { inWords } from './set-up/issues.ts';
export type { IntegrationPlanner, PlannedIntegration } from './set-up/planner.ts';
export type { IntegrationSetup } from './set-up/setup.ts';
export type { ResolvedIntegration, Targets } from './targets.ts';
export type { Look, Themes } from './themes/themes.ts';
export type { TrustedIssuers } from './trusted-issuers.ts';

export interface Integrations {
  admin: IntegrationAdmin;
  planner: IntegrationPlanner;
  mayNotChange: MayNotChange;
  targets: Targets;
  trustedIssuers: TrustedIssuers;
  themes: Themes;
  requestedScopes: RequestedScopes;
  /** To be called for each change that was not made through `admin`. Undefined: any integration may have changed. */
  changed(id: string | undefined): void;
}

interface Parts extends PlannerParts {
  store: Pick<Store, 'integration' | 'integrations' | 'callers' | 'putIntegration' | 'deleteIntegration'>;
  callerCache: Pick<CallerCache, 'invalidateWorkloads'>;
  /** Waits for the other replicas. */
  untilApplied: Cache['untilApplied'];
  access: Access;
  mayNotSignIn: Parameters<typeof createChangePermissions>[0]['mayNotSignIn'];
  /** Those that the configuration lists. */
  listedIssuers: Parameters<typeof createTrustedIssuers>[0]['listed'];
  publicUrl: string;
  /** The look of the deployment's connect pages. */
  theme: Theme | undefined;
  clock: Clock;
  /** Called after every change of an integration, wherever it was made. */
  onChange: (id: string | undefined) => void;
}

export function createIntegrations(parts: Parts): Integrations {
  const { store, vault, catalogue, callerCache, listedIssuers, publicUrl, onChange } = parts;
  const targets = createTargets({ store, vault, catalogue, clock: parts.clock });
  const trustedIssuers = createTrustedIssuers({ store, catalogue, listed: listedIssuers, publicUrl });
  const planner = createIntegrationPlanner(parts);
  const mayNotChange = createChangePermissions(parts);
  const requestedScopes = createRequestedScopes({ store });
  const changed = (id: string | undefined) => {
    targets.changed(id);
    requestedScopes.changed(id);
    trustedIssuers.invalidate();
    callerCache.invalidateWorkloads();
    onChange(id);
  };
  return {
    admin: createIntegrationAdmin({ ...parts, planner, mayNotChange, changed }),
    planner,
    mayNotChange,
    targets,
    trustedIssuers,
    themes: createThemes({ store, targets, deployment: parts.theme, clock: parts.clock }),
    requestedScopes,
    changed,
  };
}
