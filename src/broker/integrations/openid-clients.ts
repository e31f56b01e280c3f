// The clients of OpenID integrations: an ID token is known by its audience, which is the client. So a client id that is the
// audience of a workload binding at the same issuer locks the workload out: its tokens are taken for ID tokens.
import type { Workload } from '../../domain/caller.ts';
import type { Integration } from '../../domain/integration.ts';
import { authMode, type Provider } from '../../domain/provider.ts';
import { NO_SECRETS, resolveTarget, trustedIssuerOf } from '../../domain/target.ts';
import type { Store } from '../../ports/index.ts';

/** A client at an OpenID Provider. */
export interface OpenIdClient {
  issuer: string;
  clientId: string;
}

type Settings = Pick<Integration, 'id' | 'provider' | 'clientId' | 'keyId' | 'params' | 'overrides'> & {
  version?: number;
};

/**
 * Undefined: the integration gets no ID tokens. Secrets are not needed: one that cannot be decrypted must not end the trust in
 * everyone else.
 */
export function openIdClient(catalogue: ReadonlyMap<string, Provider>, settings: Settings): OpenIdClient | undefined {
  const provider = catalogue.get(settings.provider);
  const { clientId } = settings;
  if (!provider || clientId === '' || !authMode(provider, settings.params)) return undefined;
  const issuer = trustedIssuerOf(resolveTarget(provider, { version: 0, ...settings }, NO_SECRETS, {}));
  return issuer === null ? undefined : { issuer, clientId };
}

/** Whether the tokens of the workload would be taken for ID tokens of this client. */
export const isShadowedBy = (
  { issuer, audience }: Pick<Workload, 'issuer' | 'audience'>,
  client: OpenIdClient,
): boolean => issuer === client.issuer && audience === client.clientId;

/** Whether a caller is bound to tokens for this client. Rejects with `StoreError`. */
export async function shadowsWorkloads(store: Pick<Store, 'callers'>, client: OpenIdClient): Promise<boolean> {
  const all = await store.callers();
  return all.some(({ caller }) => caller.workloads.some((workload) => isShadowedBy(workload, client)));
}
