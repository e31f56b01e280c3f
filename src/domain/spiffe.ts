// Names of SPIFFE: a trust domain, and the workloads within it (SPIFFE-ID 2).

const TRUST_DOMAIN = /^spiffe:\/\/[a-z0-9._-]{1,255}$/;
/** Segments are neither empty nor dots alone, so that nothing walks out of its path. */
const WORKLOAD = /^(spiffe:\/\/[a-z0-9._-]{1,255})(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;
const MOST_BYTES = 2_048;

/** `spiffe://example.org`, with nothing after. */
export const isTrustDomain = (name: string): boolean => TRUST_DOMAIN.test(name);

/** `spiffe://example.org` of `spiffe://example.org/ns/prod/sa/web`; undefined: not the id of a workload. */
export const trustDomainOf = (id: unknown): string | undefined =>
  typeof id === 'string' && id.length <= MOST_BYTES ? WORKLOAD.exec(id)?.[1] : undefined;
