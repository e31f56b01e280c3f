// What an admin or the declarative file says about an integration.
import type { Overrides, UpstreamRate } from '../../../domain/integration.ts';
import type { Theme } from '../../../domain/theme.ts';

export interface IntegrationSetup {
  provider: string;
  /** Undefined where the mode has no client. */
  clientId?: string | undefined;
  /** Undefined keeps the stored one, null removes it. */
  clientSecret?: string | null | undefined;
  /** PEM. Undefined keeps the stored one, null removes it. */
  privateKey?: string | null | undefined;
  keyId?: string | undefined;
  certificate?: string | undefined;
  /** Undefined: the provider's default scopes. */
  scopes?: string[] | undefined;
  params?: Record<string, string> | undefined;
  overrides?: Overrides | undefined;
  returnOrigins?: string[] | undefined;
  requireFinish?: boolean | undefined;
  /** Undefined or null: as the catalogue has it. */
  rate?: UpstreamRate | null | undefined;
  /** Undefined or null: the deployment's. */
  theme?: Theme | null | undefined;
  /** The version that it was made of; 0: there was none. Undefined: whatever is stored is replaced. */
  ofVersion?: number | undefined;
}
