// The client's address of a request, as the audit log, the logs and the limits see it.
import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import { upTo } from '../domain/cache-bounds.ts';
import { clientAddressOf } from '../domain/client-address.ts';
import type { IpRange } from '../domain/ip-ranges.ts';

/** The address of who sent the request; null where there is no socket. IPv4-mapped addresses are IPv4. */
export type AddressOf = (request: Pick<IncomingMessage, 'socket' | 'headers'>) => string | null;

/** Requests that are remembered: the headers of one client are the same in each, and it sends many. */
const REMEMBERED = 1_000;
const LONGEST_REMEMBERED = 256;

/** `trusted`: the proxies whose `Forwarded` and `X-Forwarded-For` are believed. */
export function createAddressOf(trusted: readonly IpRange[]): AddressOf {
  const peerOf: AddressOf = ({ socket }) => {
    const address = socket?.remoteAddress;
    return address?.startsWith('::ffff:') ? address.slice(7) : (address ?? null);
  };
  if (trusted.length === 0) return peerOf;

  const known = new LRUCache<string, string>(upTo(REMEMBERED));
  return (request) => {
    const peer = peerOf(request);
    const forwarded = oneLine(request.headers.forwarded);
    const forwardedFor = oneLine(request.headers['x-forwarded-for']);
    if (peer === null || (forwarded === undefined && forwardedFor === undefined)) return peer;
    const key = `${peer}\n${forwarded ?? ''}\n${forwardedFor ?? ''}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const address = clientAddressOf(peer, { forwarded, forwardedFor }, trusted);
    if (key.length <= LONGEST_REMEMBERED) known.set(key, address);
    return address;
  };
}

const oneLine = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header.join(', ') : header;
