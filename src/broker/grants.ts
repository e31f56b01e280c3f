// Sealing and opening the secrets of a connection: each column bound to its row.
import type { Grant, Sealed, SealedGrant } from '../domain/connection.ts';
import type { SealContext, Vault } from '../ports.ts';

const at = (id: string, column: 'access_token' | 'refresh_token' | 'id_token'): SealContext => ({
  row: `connections/${id}`,
  column,
});

export function sealGrant(vault: Pick<Vault, 'seal'>, id: string, grant: Grant): SealedGrant {
  const seal = (text: string | null, column: Parameters<typeof at>[1]) =>
    text === null ? null : vault.seal(text, at(id, column));
  return {
    accessToken: seal(grant.accessToken, 'access_token'),
    refreshToken: seal(grant.refreshToken, 'refresh_token'),
    idToken: seal(grant.idToken, 'id_token'),
  };
}

const open = (vault: Pick<Vault, 'open'>, sealed: Sealed | null, context: SealContext): string | null =>
  sealed === null ? null : vault.open(sealed, context);

export const openAccessToken = (vault: Pick<Vault, 'open'>, id: string, sealed: Sealed | null): string | null =>
  open(vault, sealed, at(id, 'access_token'));

export const openRefreshToken = (vault: Pick<Vault, 'open'>, id: string, sealed: Sealed | null): string | null =>
  open(vault, sealed, at(id, 'refresh_token'));
