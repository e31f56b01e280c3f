// Whose JWTs are trusted, and for what: an issuer that `trusted_issuers` lists, or the issuer of an OpenID integration, which
// is trusted for that integration's client id and nothing else.

export interface TrustedIssuer {
  /** A URL, or a SPIFFE trust domain (`spiffe://example.org`), whose keys are then named here. */
  issuer: string;
  /** Listed for it. Accepted when the request names none. */
  audiences: readonly string[];
  /** The clients of this deployment's OpenID integrations with this issuer. Accepted when the request names none. */
  clientIds: readonly string[];
  /** In `trusted_issuers`. Otherwise its tokens count for `clientIds` alone, whatever a request names. */
  isListed: boolean;
  /** How its tokens name the owner in a token exchange. Undefined: they do not. */
  owner?: OwnerMapping | undefined;
  /** Of a token that is used as a credential, in seconds. Undefined: `CREDENTIAL_MAX_AGE_S`. */
  maxAge?: number | undefined;
  /** Where its keys are published. Without this and `jwks`, its metadata say (OpenID Connect Discovery 4, RFC 8414 3). */
  jwksUri?: string | undefined;
  /** Its public keys themselves. */
  jwks?: { keys: Record<string, unknown>[] } | undefined;
}

/** The owner is this prefix and the text of this claim. */
export interface OwnerMapping {
  claim: string;
  prefix: string;
}

/** The audiences that a token of this issuer may have. Empty: none is accepted. `requested` undefined: none was named. */
export function acceptedAudiences(
  { audiences, clientIds, isListed }: Pick<TrustedIssuer, 'audiences' | 'clientIds' | 'isListed'>,
  requested: readonly string[] | undefined,
): readonly string[] {
  if (requested === undefined) return [...audiences, ...clientIds];
  return isListed ? requested : requested.filter((audience) => clientIds.includes(audience));
}

/** Of issuers that name owners: the pairs where the first can name owners of the second, since it can form their prefix. */
export const overlappingOwners = (
  issuers: readonly {
    issuer: string;
    exchange?: boolean | undefined;
    owner?: { prefix?: string | undefined } | undefined;
  }[],
): [string, string][] => {
  const naming = issuers
    .filter(({ exchange }) => exchange)
    .map(({ issuer, owner }) => [issuer, owner?.prefix ?? ''] as const);
  return naming.flatMap(([one, prefix]) =>
    naming.flatMap(([other, longer]): [string, string][] =>
      one !== other && longer.startsWith(prefix) ? [[one, other]] : [],
    ),
  );
};

/** The same characters and length as in requests. */
const OWNER = /^[^\p{Cc}\p{Cs}*]{1,255}$/u;

/** The owner whom the claims name; undefined: they name none, or not as one text. */
export function ownerOf(
  { claim, prefix }: OwnerMapping,
  claims: Readonly<Record<string, unknown>>,
): string | undefined {
  const own = (name: string) => (Object.hasOwn(claims, name) ? claims[name] : undefined);
  const value = own(claim);
  if (typeof value !== 'string' || value === '') return undefined;
  // `email_verified`, `phone_number_verified` (OpenID Connect Core 5.1): anyone may claim what was not verified.
  const verified = own(`${claim}_verified`);
  if (verified !== undefined && verified !== true) return undefined;
  const owner = prefix + value;
  return OWNER.test(owner) ? owner : undefined;
}
