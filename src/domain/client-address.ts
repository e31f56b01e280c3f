// The address of a client behind proxies: `Forwarded` (RFC 7239) and `X-Forwarded-For`, believed of trusted proxies only.
//
// Both are read from the right, where the proxy next to us has written. What is to the left of the first address that is not a
// trusted proxy's, or of anything that is no address, was written by someone unknown.
import { type IpRange, isInRange, parseIp } from './ip-ranges.ts';

/** Headers of the same name are joined by commas. */
export interface ForwardingHeaders {
  forwarded: string | undefined;
  forwardedFor: string | undefined;
}

/** Proxies in a row; more are not followed. */
const MAX_HOPS = 32;

/**
 * The right-most address that is not a trusted proxy's; the left-most where all are. `peer`: of the socket, which is the answer
 * when it is not a trusted proxy. A hop that is `unknown`, obfuscated or malformed ends the search at the proxy that named it.
 * Proxies rewrite one of the two headers and pass the other one on as the client sent it: when they disagree, neither is
 * believed, and the proxy's own address is the answer.
 */
export function clientAddressOf(peer: string, headers: ForwardingHeaders, trusted: readonly IpRange[]): string {
  const socket = parseIp(peer);
  if (!socket) return peer;
  const own = socket.toString();
  if (!isInRange(socket, trusted)) return own;
  const { forwarded, forwardedFor } = headers;
  const named = [
    ...(forwarded === undefined ? [] : [follow(own, hopsOfForwarded(forwarded), trusted)]),
    ...(forwardedFor === undefined ? [] : [follow(own, hopsOfForwardedFor(forwardedFor), trusted)]),
  ];
  const [one = own, other = one] = named;
  return one === other ? one : own;
}

function follow(own: string, hops: Iterable<string | undefined>, trusted: readonly IpRange[]): string {
  let nearest = own;
  let count = 0;
  for (const hop of hops) {
    const address = hop === undefined ? undefined : parseIp(hop);
    if (!address || ++count > MAX_HOPS) return nearest;
    nearest = address.toString();
    if (!isInRange(address, trusted)) return nearest;
  }
  return nearest;
}

function* hopsOfForwardedFor(text: string): Generator<string | undefined> {
  for (const element of fromTheRight(text, ',')) {
    const hop = element.trim();
    if (hop !== '') yield hostOf(unquoted(hop));
  }
}

function* hopsOfForwarded(text: string): Generator<string | undefined> {
  for (const element of fromTheRight(text, ',')) if (element.trim() !== '') yield forOf(element);
}

/** The `for` of an element (RFC 7239 5.2). Undefined: none, or more than one. */
function forOf(element: string): string | undefined {
  const values: string[] = [];
  for (const pair of fromTheRight(element, ';')) {
    const at = pair.indexOf('=');
    if (at >= 0 && pair.slice(0, at).trim().toLowerCase() === 'for') values.push(pair.slice(at + 1).trim());
  }
  const [value, ...others] = values;
  return value === undefined || others.length > 0 ? undefined : hostOf(unquoted(value));
}

const unquoted = (value: string): string =>
  value.length >= 2 && value.startsWith('"') && value.endsWith('"')
    ? value.slice(1, -1).replace(/\\(.)/gs, '$1')
    : value;

/** The address of a node (RFC 7239 6): without brackets and port. What is no address then is none of ours either. */
function hostOf(node: string): string {
  const bracketed = /^\[([^[\]]*)\](?::[\w.-]{1,32})?$/.exec(node)?.[1];
  if (bracketed !== undefined) return bracketed;
  return /^([\d.]{7,15}):[\w.-]{1,32}$/.exec(node)?.[1] ?? node;
}

/**
 * The parts of a list, the last one first, separated outside of quoted strings. Read from the right so that a quote that a
 * client leaves open swallows nothing of what the proxy has added behind it.
 */
function* fromTheRight(text: string, separator: string): Generator<string> {
  let end = text.length;
  let isQuoted = false;
  for (let at = text.length - 1; at >= 0; at--) {
    const char = text[at];
    if (char === '"') {
      let backslashes = 0;
      while (text[at - 1 - backslashes] === '\\') backslashes++;
      if (backslashes % 2 === 0) isQuoted = !isQuoted;
      at -= backslashes;
    } else if (char === separator && !isQuoted) {
      yield text.slice(at + 1, end);
      end = at;
    }
  }
  yield text.slice(0, end);
}
