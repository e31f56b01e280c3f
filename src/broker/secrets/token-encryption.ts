// Sealing and opening the secrets of a connection: each column bound to its row.
import type { Grant, Sealed, SealedGrant } from '../../domain/connection.ts';
import { type AuthMode, isCode } from '../../domain/auth-modes.ts';
import { renewedBy } from '../../domain/refresh-schedule.ts';
import type { SealContext, Vault } from '../../ports/index.ts';

const COLUMNS = {
  accessToken: 'access_token',
  refreshToken: 'refresh_token',
  idToken: 'id_token',
  credentials: 'credentials',
} as const satisfies Record<keyof Grant, string>;

const at = (id: string, secret: keyof Grant): SealContext => ({ row: `connections/${id}`, column: COLUMNS[secret] });

export function sealGrant(vault: Pick<Vault, 'seal'>, id: string, grant: Grant): SealedGrant {
  const seal = (secret: keyof Grant) => {
    const text = grant[secret];
    return text === null ? null : vault.seal(text, at(id, secret));
  };
  return {
    accessToken: seal('accessToken'),
    refreshToken: seal('refreshToken'),
    idToken: seal('idToken'),
    credentials: seal('credentials'),
  };
}

const open = (vault: Pick<Vault, 'open'>, id: string, secret: keyof Grant, sealed: Sealed | null): string | null =>
  sealed === null ? null : vault.open(sealed, at(id, secret));

export const openAccessToken = (vault: Pick<Vault, 'open'>, id: string, sealed: Sealed | null): string | null =>
  open(vault, id, 'accessToken', sealed);

export const openRefreshToken = (vault: Pick<Vault, 'open'>, id: string, sealed: Sealed | null): string | null =>
  open(vault, id, 'refreshToken', sealed);

/** What an import brought, and the key that tokens are bound to. */
export const openKept = (vault: Pick<Vault, 'open'>, id: string, sealed: Sealed | null): string | null =>
  open(vault, id, 'credentials', sealed);

/** What renews it, and what is kept when an answer leaves it out. */
export function openRenewing(vault: Pick<Vault, 'open'>, id: string, grant: SealedGrant, auth: AuthMode): Grant {
  // Look-ups want it too.
  const used = renewedBy(auth).includes('accessToken') || (isCode(auth) && auth.lookups.length > 0);
  return {
    accessToken: used ? openAccessToken(vault, id, grant.accessToken) : null,
    refreshToken: openRefreshToken(vault, id, grant.refreshToken),
    idToken: null,
    credentials: openKept(vault, id, grant.credentials),
  };
}
