// Creates a grant at the local provider without a browser, for imports.
import type { LocalProvider } from '../../demo/provider.ts';

/** A refresh token of this client in its own token family: using it twice ends the family. */
export async function mintRefreshToken({ provider }: LocalProvider, clientId: string, owner: string): Promise<string> {
  const client = await provider.Client.find(clientId);
  if (!client) throw new Error(`the provider has no client ${clientId}`);
  const scope = 'openid';
  const grant = new provider.Grant({ accountId: owner, clientId });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  return new provider.RefreshToken({ accountId: owner, client, grantId, gty: 'authorization_code', scope }).save();
}
