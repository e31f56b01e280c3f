// The guard against SSRF: requests reach public addresses over https, and what the operator's allow list names.
import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { buildConnector } from 'undici';
import { allowFault, isMachineAddress } from './allow-rules.ts';
import { ipFamily } from './ip-family.ts';
import { lookupName, type Resolver } from './name-lookups.ts';
import { connectionError, OutboundError } from './outbound-error.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** `VALETKEY_OUTBOUND_ALLOW`, parsed: what may be reached over plain http or at an address that is not public. */
export interface AllowList {
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
  const issues = entries.flatMap((entry) => {
    const parsed = parseEntry(entry);
    if (parsed === undefined) return [entryIssue(entry)];
    const fault = allowFault(parsed);
    return fault === undefined ? [] : [`"${entry}" ${fault}`];
  });
  return issues.length > 0 ? { ok: false, issues } : { ok: true, allow: entries };
}

const entryIssue = (entry: string) =>
  `"${entry}" is not a host name, an IP address or a CIDR (no scheme, port or wildcard)`;

/** Expects entries that passed `parseAllow`; throws on others. */
export function toAllowList(allow: readonly string[]): AllowList {
  const hosts = new Set<string>();
  const ranges: [Address, number][] = [];
  for (const entry of allow) {
    const parsed = parseEntry(entry);
    if (parsed === undefined) throw new TypeError(entryIssue(entry));
    if (typeof parsed === 'string') hosts.add(parsed);
    else ranges.push(parsed);
  }
  return { hosts, ranges };
}

function parseEntry(entry: string): string | [Address, number] | undefined {
  const [address = '', bits, ...rest] = unbracketed(entry).split('/');
  const family = ipFamily(address);
  if (family !== 0 && rest.length === 0) {
    const parsed = ipaddr.parse(address);
    const all = family === 4 ? 32 : 128;
    if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= all)) return undefined;
    return translated(parsed, bits === undefined ? all : Number(bits));
  }
  const name = normalizedHost(entry);
  return HOST_NAME.test(name) && !NUMERIC_END.test(name) ? name : undefined;
}

/** A range of IPv4-mapped or NAT64 addresses as the IPv4 addresses that they reach. */
function translated(address: Address, bits: number): [Address, number] {
  const target = reached(address.toString());
  return target.kind() === 'ipv4' && address.kind() === 'ipv6' && bits >= 96 ? [target, bits - 96] : [address, bits];
}

const unbracketed = (host: string) => (host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host);
/** Host names are compared in lower case and without the root's dot. */
const normalizedHost = (host: string) => host.toLowerCase().replace(/\.$/, '');

export const isAllowedHost = (host: string, { hosts }: AllowList): boolean => hosts.has(normalizedHost(host));

/** Whether a resolved or literal address may be connected to: public unicast, or in an allowed range. */
export const mayConnectTo = (address: string, allowList: AllowList): boolean =>
  !isMachineAddress(reached(address)) && (isPublic(address) || isInAllowedRange(address, allowList));

function isInAllowedRange(text: string, { ranges }: AllowList): boolean {
  const forms = [reached(text), ipaddr.parse(text)];
  return ranges.some(([range, bits]) =>
    forms.some((address) => address.kind() === range.kind() && address.match(range, bits)),
  );
}

/** RFC 6052 2.1: behind it a NAT64 gateway reaches the IPv4 address in the last 32 bits. */
const NAT64 = ipaddr.parseCIDR('64:ff9b::/96');

/**
 * The address that is reached in the end: the IPv4 address in an IPv4-mapped or a NAT64 one. Addresses of other
 * translations (6to4, Teredo, the local-use prefixes of RFC 8215) are not translated here, and are not public.
 */
function reached(text: string): Address {
  const address = ipaddr.process(text);
  if (address.kind() === 'ipv4' || !address.match(NAT64)) return address;
  return new ipaddr.IPv4(address.toByteArray().slice(-4));
}

/** Global unicast is 2000::/3 (RFC 4291 2.4); the rest is not assigned. */
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3');

/** Of the ranges of public addresses, and reached from inside a cloud only: metadata and credentials (Azure's WireServer). */
const CLOUD_INTERNAL = new Set(['168.63.129.16']);

function isPublic(text: string): boolean {
  const address = reached(text);
  if (address.range() !== 'unicast' || CLOUD_INTERNAL.has(address.toString())) return false;
  return address.kind() === 'ipv4' || address.match(GLOBAL_UNICAST);
}

const NOT_PUBLIC = 'an address that is not public: if it is meant, list it in VALETKEY_OUTBOUND_ALLOW';

/** Why a URL may not be requested, in words; undefined when it may. Checks the literal host; DNS is checked on connect. */
export function urlProblem(url: URL, allowList: AllowList): string | undefined {
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or a password';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must be an https URL';
  const host = unbracketed(url.hostname);
  const literal = ipFamily(host) !== 0;
  if (literal && isMachineAddress(reached(host))) return 'points to the machine itself, or to a metadata service';
  const listed = literal ? isInAllowedRange(host, allowList) : isAllowedHost(host, allowList);
  if (literal && !listed && !isPublic(host)) return `points to ${NOT_PUBLIC}`;
  if (url.protocol === 'http:' && !listed)
    return 'must be an https URL: for plain http, list its host in VALETKEY_OUTBOUND_ALLOW';
  return undefined;
}

/**
 * Names that are resolved inside a network only (RFC 6761, RFC 6762 with its appendix G, RFC 8375), such as those of metadata
 * services. Where a proxy resolves names, they are all that can be judged here.
 */
const INTERNAL_NAME = /^[^.]+$|(^|\.)(localhost|local|internal|home\.arpa|lan|intranet|private|corp|home)$/;

/** Why a name may not be asked of a proxy that resolves names, in words; undefined when it may. */
export const nameProblem = (host: string, allowList: AllowList): string | undefined =>
  ipFamily(unbracketed(host)) === 0 && INTERNAL_NAME.test(normalizedHost(host)) && !isAllowedHost(host, allowList)
    ? 'is a name of an internal network: if it is meant, list it in VALETKEY_OUTBOUND_ALLOW'
    : undefined;

/**
 * Resolves a name to addresses that may all be connected to, or fails with an `OutboundError`. What the operator has listed is
 * asked of the system alone, by default: it may be reached over plain http, and a file of the machine may say where it is.
 */
export function guardedLookup(allowList: AllowList, resolve?: Resolver): LookupFunction {
  return (hostname, options, callback) => {
    const isAllowed = isAllowedHost(hostname, allowList);
    // By name when it is called: a bundle loads Node's module with the first look-up.
    (resolve ?? (isAllowed ? systemLookup : lookupName))(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      const blocked = addresses.find(({ address }) =>
        isAllowed ? isMachineAddress(reached(address)) : !mayConnectTo(address, allowList),
      );
      const [first] = addresses;
      if (blocked !== undefined || first === undefined)
        return callback(new OutboundError('blocked', `${hostname} resolves to ${NOT_PUBLIC}`, false), '', 0);
      if (options.all) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}

/**
 * Opens sockets only to allowed addresses. The check is part of the socket's own DNS lookup, so the checked address is the
 * one that is connected to, and DNS rebinding gains nothing. Literal addresses have no lookup: `urlProblem` checks them.
 */
export function ssrfGuardedConnector(
  build: typeof buildConnector,
  lookup: LookupFunction,
  timeout: number,
  tls: { cert: string; key: string } | undefined,
): buildConnector.connector {
  const connect = build({ lookup, timeout, allowH2: false, ...tls });
  return (target, callback) =>
    connect(target, (...[error, socket]) => {
      if (error === null) return callback(null, socket);
      // The socket was not ready (DNS, TCP or TLS failed), so nothing of the request was sent.
      callback(
        error instanceof OutboundError ? error : connectionError(target.host ?? target.hostname, error, false),
        null,
      );
    });
}
