// Keyed digests of refresh tokens, by which the signals of a provider name them. The keys are derived from the key ring, so that
// a stolen database does not tell whether a token is in it.
import { createHash } from 'node:crypto';
import { plainBase64, type TokenIdentifier } from '../../domain/security-events.ts';
import type { Vault } from '../../ports/index.ts';

/** The keys among the captured values. */
const KEYS = {
  prefix: 'refresh_token.prefix',
  hash_base64_sha512_sha512: 'refresh_token.sha512_sha512',
} as const satisfies Record<TokenIdentifier, string>;

/** Characters that a transmitter shows of a token. */
const PREFIX = 16;

const sha512 = (bytes: string | Buffer): Buffer => createHash('sha512').update(bytes).digest();

const identifiers: Record<TokenIdentifier, (refreshToken: string) => string> = {
  prefix: (token) => token.slice(0, PREFIX),
  hash_base64_sha512_sha512: (token) => plainBase64(sha512(sha512(token)).toString('base64')),
};

/** Under the primary key. Without a token, there are none. */
export function tokenDigests(vault: Pick<Vault, 'digests'>, refreshToken: string | null): Record<string, string> {
  if (refreshToken === null) return {};
  return Object.fromEntries(
    Object.entries(identifiers).map(([how, identify]) => {
      const key = KEYS[how as TokenIdentifier];
      return [key, vault.digests(identify(refreshToken), key)[0]!];
    }),
  );
}

/** What a named token is looked for by: under any key of the ring. */
export const lookUpDigests = (
  vault: Pick<Vault, 'digests'>,
  { identifiedBy, token }: { identifiedBy: TokenIdentifier; token: string },
): { key: string; values: string[] } => ({
  key: KEYS[identifiedBy],
  values: vault.digests(token, KEYS[identifiedBy]),
});

/** Not among those above: a refresh leaves it. */
const IMPORTED = 'imported.refresh_token';

/** What an imported refresh token is known by, when it is imported once more: under each key of the ring, the primary key's first. */
export const importedTokenDigests = (
  vault: Pick<Vault, 'digests'>,
  refreshToken: string,
): { key: string; values: string[] } => ({ key: IMPORTED, values: vault.digests(refreshToken, IMPORTED) });
