// SPIFFE IDs (SPIFFE-ID 2): trust domains, and the workloads in them.

const TRUST_DOMAIN = /^spiffe:\/\/[a-z0-9._-]{1,255}$/;
/** Path segments are neither empty nor `.` nor `..`, which would allow path traversal. */
const WORKLOAD = /^(spiffe:\/\/[a-z0-9._-]{1,255})(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;
const MAX_BYTES = 2_048;

/** Whether it is `spiffe://example.org`, without a path. */
export const isTrustDomain = (name: string): boolean => TRUST_DOMAIN.test(name);

/** `spiffe://example.org` for `spiffe://example.org/ns/prod/sa/web`; undefined when it is not the id of a workload. */
export const trustDomainOf = (id: unknown): string | undefined =>
  typeof id === 'string' && id.length <= MAX_BYTES ? WORKLOAD.exec(id)?.[1] : undefined;
