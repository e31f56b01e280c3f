// Which hosts and addresses the broker may reach: public ones by https, and the exceptions that the operator names.
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** The exceptions, parsed. */
export interface Exceptions {
  hosts: ReadonlySet<string>;
  ranges: readonly [Address, number][];
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const NUMERIC_END = /(^|\.)(\d+|0x[0-9a-f]*)$/;

/**
 * Reads a comma-separated list of host names, IP addresses and CIDRs (the form of `VALETKEY_OUTBOUND_ALLOW`). An
 * issue names the entry that is none of these.
 */
export function parseAllow(text: string): { ok: true; allow: string[] } | { ok: false; issues: string[] } {
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  const issues = entries.filter((entry) => parseEntry(entry) === undefined).map(notAnEntry);
  return issues.length > 0 ? { ok: false, issues } : { ok: true, allow: entries };
}

const notAnEntry = (entry: string) =>
  `"${entry}" is not a host name, an IP address or a CIDR (no scheme, port or wildcard)`;

/** Expects entries that passed `parseAllow`; throws on others. */
export function exceptionsOf(allow: readonly string[]): Exceptions {
  const hosts = new Set<string>();
  const ranges: [Address, number][] = [];
  for (const entry of allow) {
    const parsed = parseEntry(entry);
    if (parsed === undefined) throw new TypeError(notAnEntry(entry));
    if (typeof parsed === 'string') hosts.add(parsed);
    else ranges.push(parsed);
  }
  return { hosts, ranges };
}

function parseEntry(entry: string): string | [Address, number] | undefined {
  const [address = '', bits, ...rest] = unbracketed(entry).split('/');
  const family = isIP(address);
  if (family !== 0 && rest.length === 0) {
    const parsed = ipaddr.parse(address);
    const all = family === 4 ? 32 : 128;
    if (bits === undefined) return [ipaddr.process(address), ipaddr.process(address).toByteArray().length * 8];
    return /^\d{1,3}$/.test(bits) && Number(bits) <= all ? [parsed, Number(bits)] : undefined;
  }
  const name = hostKey(entry);
  return HOST_NAME.test(name) && !NUMERIC_END.test(name) ? name : undefined;
}

const unbracketed = (host: string) => (host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host);
/** Names are compared without case and without the root's dot. */
const hostKey = (host: string) => host.toLowerCase().replace(/\.$/, '');

export const isListedHost = (host: string, { hosts }: Exceptions): boolean => hosts.has(hostKey(host));

/** Whether a resolved or literal address may be connected to: public unicast, or in a listed range. */
export const isReachable = (address: string, exceptions: Exceptions): boolean =>
  isPublic(address) || isListedAddress(address, exceptions);

function isListedAddress(text: string, { ranges }: Exceptions): boolean {
  // `process` turns IPv4-mapped addresses into the IPv4 ones that they reach.
  const address = ipaddr.process(text);
  return ranges.some(([range, bits]) => address.kind() === range.kind() && address.match(range, bits));
}

function isPublic(text: string): boolean {
  const address = ipaddr.process(text);
  if (address.range() !== 'unicast') return false;
  // Global unicast is 2000::/3 (RFC 4291 2.4); what is not assigned yet is nobody's public address.
  return address instanceof ipaddr.IPv4 || address.match(ipaddr.IPv6.parse('2000::'), 3);
}

/** What is wrong with where a URL points, in words; undefined when nothing is. The literal host is judged, not DNS. */
export function urlProblem(url: URL, exceptions: Exceptions): string | undefined {
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or a password';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must be an https URL';
  const host = unbracketed(url.hostname);
  const literal = isIP(host) !== 0;
  const listed = literal ? isListedAddress(host, exceptions) : isListedHost(host, exceptions);
  if (literal && !listed && !isPublic(host)) return 'points to an address that is not public';
  if (url.protocol === 'http:' && !listed) return 'must be an https URL';
  return undefined;
}
