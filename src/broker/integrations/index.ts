export { createIntegrations, type Integrations, type Setup } from './integrations.ts';
export { createTargets, type ResolvedIntegration, type Targets } from './targets.ts';
export { createTrustedIssuers, type TrustedIssuers } from './trusted-issuers.ts';
