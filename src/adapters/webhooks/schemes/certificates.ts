// Certificates that a vendor publishes at a URL which the request names: the URL's host is the vendor's, and for X.509 the
// name and the chain up to a public root are right too.

import { type KeyObject, X509Certificate } from 'node:crypto';
import { getCACertificates } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { CERTIFICATE_FETCH_INTERVAL_MS } from '../../../domain/time-limits.ts';
import { createLocalBucket } from '../../../domain/token-bucket.ts';
import type { Clock } from '../../../ports/index.ts';
import { CachedDocument, type Fetch } from '../../jwt/cached-document.ts';

export interface Certificates {
  /**
   * The key of the certificate at the URL; undefined: the URL is not allowed, nothing is there, or the certificate is not valid
   * at this time. With `names`, one of them is its name, and its chain ends at a public root.
   */
  keyAt(
    url: string | undefined,
    hosts: string,
    names: readonly string[] | undefined,
    now: number,
  ): Promise<KeyObject | undefined>;
}

const MAX_CACHED = 200;
const MAX_CHAIN = 8;
/** New URLs are fetched at this rate: anybody can name one. */
const BURST = 20;
const PEM = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]{1,20000}-----END CERTIFICATE-----/g;

/** `roots`: PEM; by default those that Node trusts, with `NODE_EXTRA_CA_CERTS`. */
export function createCertificates(
  fetch: Fetch,
  clock: Pick<Clock, 'monotonic'>,
  roots?: readonly string[],
): Certificates {
  const documents = new LRUCache<string, CachedDocument<X509Certificate[]>>(upTo(MAX_CACHED));
  /** Of chains that were followed, by URL: what their certificates are is in the document. */
  const trusted = new WeakMap<X509Certificate[], boolean>();
  const mayFetch = createLocalBucket(BURST, CERTIFICATE_FETCH_INTERVAL_MS, clock.monotonic);
  let parsedRoots: X509Certificate[] | undefined;

  const documentAt = (url: string): CachedDocument<X509Certificate[]> | undefined => {
    const known = documents.get(url);
    if (known) return known;
    if (!mayFetch()) return undefined;
    const document = new CachedDocument(() => load(fetch, url), clock);
    documents.set(url, document);
    return document;
  };

  function isTrusted(chain: X509Certificate[], now: number): boolean {
    const known = trusted.get(chain);
    if (known !== undefined) return known;
    parsedRoots ??= (roots ?? getCACertificates('default')).map((pem) => new X509Certificate(pem));
    const is = endsAtRoot(chain, parsedRoots, now);
    trusted.set(chain, is);
    return is;
  }

  return {
    async keyAt(url, hosts, names, now) {
      if (url === undefined || !isHttpsAt(url, hosts)) return undefined;
      const chain = await documentAt(url)?.get();
      const leaf = chain?.[0];
      if (!chain || !leaf || !isValidAt(leaf, now)) return undefined;
      const isRight = names === undefined || (names.some((name) => isNamed(leaf, name)) && isTrusted(chain, now));
      return isRight ? leaf.publicKey : undefined;
    },
  };
}

const LOOPBACK = /^(127\.0\.0\.1|localhost|\[::1\])$/;

/** Exactly this host, with its port unless it is the usual one, without user or password. Plain HTTP only at loopback. */
export function isHttpsAt(text: string, hosts: string): boolean {
  const url = text.length <= 2_000 ? URL.parse(text) : null;
  if (url === null || url.username !== '' || url.password !== '') return false;
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname));
  return isSafe && new RegExp(`^(?:${hosts})$`, 'u').test(url.host);
}

async function load(fetch: Fetch, url: string): Promise<X509Certificate[]> {
  const response = await fetch(url, { headers: { accept: '*/*' } });
  if (response.status !== 200) throw new Error('there is no certificate');
  const found = ((await response.text()).match(PEM) ?? []).slice(0, MAX_CHAIN).map((pem) => new X509Certificate(pem));
  if (found.length === 0) throw new Error('not a certificate');
  return found;
}

const isValidAt = (certificate: X509Certificate, now: number): boolean =>
  Date.parse(certificate.validFrom) <= now && now <= Date.parse(certificate.validTo);

const isNamed = (certificate: X509Certificate, name: string): boolean =>
  certificate.subject.split('\n').includes(`CN=${name}`) ||
  certificate.checkHost(name, { wildcards: false }) !== undefined;

/** RFC 5280 6.1, without policies and name constraints: signatures, validity and the right to issue, up to a root. */
function endsAtRoot(chain: readonly X509Certificate[], roots: readonly X509Certificate[], now: number): boolean {
  let [current, ...others] = chain;
  for (let length = 0; current !== undefined && length < MAX_CHAIN; length += 1) {
    const child: X509Certificate = current;
    if (!isValidAt(child, now)) return false;
    if (roots.some((root) => isIssuedBy(child, root, now))) return true;
    current = others.find((candidate) => isIssuedBy(child, candidate, now));
    others = others.filter((candidate) => candidate !== current);
  }
  return false;
}

const isIssuedBy = (child: X509Certificate, issuer: X509Certificate, now: number): boolean =>
  issuer.ca && isValidAt(issuer, now) && child.checkIssued(issuer) && isVerified(child, issuer);

function isVerified(child: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return child.verify(issuer.publicKey);
  } catch {
    return false;
  }
}
